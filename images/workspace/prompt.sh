# A short prompt, and colours. Read by every interactive shell, whatever HOME holds.
case $- in *i*) ;; *) return ;; esac
if [ -n "${BASH_VERSION:-}" ]; then
    PATH="/workspace/.local/bin:$PATH"
    PS1='\[\e[1;32m\]${CODESESSIONS_SESSION_ID:-\u}\[\e[0m\]:\[\e[1;34m\]\w\[\e[0m\]\$ '
    alias ls='ls --color=auto' ll='ls -la' grep='grep --color=auto'
    HISTCONTROL=ignoredups HISTSIZE=10000 HISTFILESIZE=20000
fi
