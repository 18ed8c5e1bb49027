module codesessions.dev/addons

go 1.26.0

tool (
	github.com/coredns/coredns
	github.com/distribution/distribution/v3/cmd/registry
	helm.sh/helm/v4/cmd/helm
)
