/** What is said of a shard, beside the ring and when pointing at it. */
import { percent } from './format.ts'
import type { RingShard } from './ring-model.ts'

export function sideText(shard: RingShard): string {
  const reads = shard.role !== 'serving' && shard.servesReplicaReads ? ', replica reads' : ''
  if (shard.role === 'serving') return 'serves'
  if (shard.role === 'filling') return `filling, ${percent(shard.filled)}${reads}`
  if (shard.role === 'following') return `follows${shard.filled === null ? ', state unknown' : ''}${reads}`
  return `stands by${reads}`
}

export function serverText({ server, schema }: RingShard): string {
  if (server === null) return 'being made'
  return `${server.host}:${server.port}${schema === '' ? '' : ` / ${schema}`}`
}

export function versionText({ server }: RingShard): string {
  return server === null
    ? ''
    : `${server.id}: ${server.flavour} ${server.version}, ${server.provisioned ? 'made by shardwright' : 'attached'}`
}
