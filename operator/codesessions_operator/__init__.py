"""The operator: from a CodeSession to a pod, and from the pod's fate to the CodeSession's status.

One pass over one session (`reconcile`): read the caches, say what pod and claim mean (`facts`), decide (`plan`, pure),
do it (`apply`), write down what is so (`status`, pure). `desired` builds every child. kopf watches and calls.
"""
