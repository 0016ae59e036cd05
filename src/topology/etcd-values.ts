/** How records stand in etcd: `{"c": "<id of the commit>", "v": <record>}` under prefix + key, so `etcdctl get --prefix` shows them as they are. */
import { topologyErrors } from './errors.ts'
import type { Entry, Json } from './store.ts'

/** As the JSON gateway writes it: bytes in base64, 64-bit numbers as text. */
export type EtcdKeyValue = { readonly key: string; readonly value?: string; readonly mod_revision?: string }

export function textOf(commit: string, value: Json): string {
  return Buffer.from(JSON.stringify({ c: commit, v: value })).toString('base64')
}

export function keyOf(kv: EtcdKeyValue, prefix: string): string {
  return Buffer.from(kv.key, 'base64').toString('utf8').slice(prefix.length)
}

export function entryOf(kv: EtcdKeyValue, prefix: string): Entry & { readonly commit: string } {
  const key = keyOf(kv, prefix)
  let stored: unknown
  try {
    stored = JSON.parse(Buffer.from(kv.value ?? '', 'base64').toString('utf8'))
  } catch (error) {
    throw topologyErrors.malformed({ key, reason: 'it is not JSON' }, error)
  }
  if (stored === null || typeof stored !== 'object' || !('c' in stored) || !('v' in stored))
    throw topologyErrors.malformed({ key, reason: 'it was not written by this program' })
  const { c, v } = stored as { c: string; v: Json }
  // Not enumerable: an entry is compared as key, value and version.
  return Object.defineProperty({ key, value: v, version: Number(kv.mod_revision ?? 0) } as Entry & { commit: string }, 'commit', {
    value: c,
  })
}

/** The first key after all that begin with this one. */
export function keyAfter(prefix: string): Buffer {
  const bytes = Buffer.from(prefix)
  for (let i = bytes.length - 1; i >= 0; i--) {
    const byte = bytes[i] ?? 0xff
    if (byte === 0xff) continue
    const end = Buffer.from(bytes.subarray(0, i + 1))
    end[i] = byte + 1
    return end
  }
  return Buffer.from([0])
}

export function rangeOf(prefix: string): { key: string; range_end: string } {
  return { key: Buffer.from(prefix).toString('base64'), range_end: keyAfter(prefix).toString('base64') }
}
