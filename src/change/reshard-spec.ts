/** What a reshard was asked for, as stored in its workflow record (the API's form, parsed there). */
export type ReshardSpec = {
  readonly sourceShards: readonly string[]
  readonly targetShards: readonly string[]
  readonly autoStart: boolean
  readonly stopAfterCopy: boolean
  readonly onDdl: 'stop' | 'ignore' | 'exec'
  readonly deferSecondaryKeys: boolean
  readonly targetServers?: readonly { host: string; port: number; user: string; password: string; schema?: string | undefined }[] | undefined
  readonly targetsPerServer?: number | undefined
  readonly allowUnfenced: readonly string[]
  readonly failpoints: { readonly [name: string]: 'kill' | 'hold' }
}

/** What the workflow wrote down before it did it. */
export type ReshardData = { readonly newServers?: readonly string[]; readonly oldServers?: readonly string[]; readonly tables?: readonly string[] }
