import { parseKeyRange, printKeyRange } from '../keyspace/key-range.ts'
import type { FenceKind } from '../switch/fence-kinds.ts'
import type { PaceLimits } from '../topology/records.ts'

/** What a reshard was asked for, as stored in its workflow record (the API's form, parsed there). */
export type ReshardSpec = {
  readonly sourceShards: readonly string[]
  readonly targetShards: readonly string[]
  readonly autoStart: boolean
  readonly stopAfterCopy: boolean
  readonly onDdl: 'stop' | 'ignore' | 'exec'
  readonly triggers?: 'refuse' | 'at-switch' | undefined
  /** How servers are closed; absent in records of before there was a choice. */
  readonly fence?: 'strongest' | FenceKind | undefined
  readonly deferSecondaryKeys: boolean
  /** Absent in records of before there were any. */
  readonly limits?: Partial<PaceLimits> | undefined
  /** Their passwords are kept apart, and only until they are attached (`CreationSecret`). */
  readonly targetServers?: readonly { host: string; port: number; user: string; schema?: string | undefined }[] | undefined
  readonly targetsPerServer?: number | undefined
  readonly allowUnfenced: readonly string[]
  readonly failpoints: { readonly [name: string]: 'kill' | 'hold' }
}

/** What the workflow wrote down before it did it. */
export type ReshardData = {
  readonly newServers?: readonly string[]
  /** Servers of somebody else that became targets, closed at creation. */
  readonly attachedServers?: readonly string[]
  readonly oldServers?: readonly string[]
  readonly tables?: readonly string[]
}

/** Null: the strongest that fits each server. */
export function wantedFence(fence: ReshardSpec['fence']): FenceKind | null {
  return fence === undefined || fence === 'strongest' ? null : fence
}

type Named = { readonly host: string; readonly port: number; readonly password?: string | undefined }

/** The spec as it is stored, and what must not be stored in it. */
export function withoutPasswords<T extends { readonly targetServers?: readonly Named[] | undefined }>(
  spec: T,
): { spec: T; passwords: { [server: string]: string } } {
  if (spec.targetServers === undefined) return { spec, passwords: {} }
  const passwords = Object.fromEntries(spec.targetServers.map(({ host, port, password }) => [`${host}:${port}`, password ?? '']))
  const targetServers = spec.targetServers.map((server) => {
    const { password: _, ...rest } = server
    return rest
  })
  return { spec: { ...spec, targetServers }, passwords }
}

/** Shards by their printed names: `0` is `-`, `-8000` is `-80`. SW-KEYSPACE-001 for what is no key range. */
export function normaliseReshardSpec<T extends Pick<ReshardSpec, 'sourceShards' | 'targetShards'>>(spec: T): T {
  const names = (shards: readonly string[]): string[] => shards.map((shard) => printKeyRange(parseKeyRange(shard)))
  return { ...spec, sourceShards: names(spec.sourceShards), targetShards: names(spec.targetShards) }
}
