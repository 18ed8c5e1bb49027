"""What runs in a build pod: from a source artifact to an image, by registry HTTP alone and without privileges.

`unpack` the source, `detect` what it is, let the runner (another container, which holds no secret) do the steps,
`layer` the result, `publish` it on the base image. `image` and `provenance` are pure.
"""
