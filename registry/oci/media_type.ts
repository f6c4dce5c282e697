/** Media types wherry reads and writes (C-MT-01..04). */
export const MediaType = {
  ociIndex: "application/vnd.oci.image.index.v1+json",
  ociManifest: "application/vnd.oci.image.manifest.v1+json",
  ociConfig: "application/vnd.oci.image.config.v1+json",
  ociLayer: "application/vnd.oci.image.layer.v1.tar",
  ociLayerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  ociLayerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  ociEmpty: "application/vnd.oci.empty.v1+json",
  dockerList: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
  dockerConfig: "application/vnd.docker.container.image.v1+json",
  dockerLayer: "application/vnd.docker.image.rootfs.diff.tar",
  dockerLayerGzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  dockerForeignLayerGzip: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
} as const;

/** What a client says it takes when it asks for a manifest; leaving types out makes Quay serve schema 1. */
export const MANIFEST_ACCEPT: string = [
  MediaType.ociIndex,
  MediaType.ociManifest,
  MediaType.dockerList,
  MediaType.dockerManifest,
].join(", ");

/** Whether documents of this type list other manifests. */
export function isIndexType(mediaType: string): boolean {
  return mediaType === MediaType.ociIndex || mediaType === MediaType.dockerList;
}

/** Whether documents of this type describe one image. */
export function isManifestType(mediaType: string): boolean {
  return mediaType === MediaType.ociManifest || mediaType === MediaType.dockerManifest;
}

/** Whether the type belongs to Docker's family; an image stays within one family (C-MT-05). */
export function isDockerType(mediaType: string): boolean {
  return mediaType.startsWith("application/vnd.docker.");
}

/** Types of configs and layers: OCI's and Docker's names of the same bytes. */
const TWINS: readonly (readonly [oci: string, docker: string])[] = [
  [MediaType.ociConfig, MediaType.dockerConfig],
  [MediaType.ociLayer, MediaType.dockerLayer],
  [MediaType.ociLayerGzip, MediaType.dockerLayerGzip],
  [MediaType.ociLayerZstd, `${MediaType.dockerLayer}.zstd`],
  [
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
  ],
  [
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    MediaType.dockerForeignLayerGzip,
  ],
];

/** What a config or layer of this type is called in Docker's family, or in OCI's; `undefined` when it has no name there. */
export function familyType(mediaType: string, docker: boolean): string | undefined {
  const pair = TWINS.find((both) => both.includes(mediaType));
  return pair?.[docker ? 1 : 0];
}

/** Whether blobs of this type may be absent from the registry: foreign and non-distributable layers. */
export function isForeignLayerType(mediaType: string): boolean {
  return mediaType.includes(".nondistributable.") || mediaType.includes(".rootfs.foreign.");
}

/** The type without its parameters, in lower case: `a/b; charset=x` is `a/b` (C-MT-02). */
export function bareMediaType(header: string): string {
  return (header.split(";")[0] ?? "").trim().toLowerCase();
}
