import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSwError } from '../base/errors.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { VSchemaRecord } from '../topology/records.ts'
import { put } from '../topology/typed.ts'
import { tenantKeyspaceId } from './tenant-key.ts'

const by = (name: string, ...columns: string[]) => ({ column_vindexes: [{ columns, name }] })

async function store(tables: Record<string, unknown>): Promise<MemoryStore> {
  const store = new MemoryStore()
  const vindexes = { h: { type: 'hash' }, again: { type: 'hash' }, x: { type: 'xxhash' }, loose: { type: 'unicode_loose_md5' } }
  await store.commit([], [put<VSchemaRecord>(keys.vschema('k'), { v: 1, vschema: { sharded: true, vindexes, tables } })])
  return store
}

test('a tenant is where its rows are: by the vindex of its tables, whatever their names; reference tables have no say', async () => {
  // hash(1) is known from Vitess.
  const integers = await store({ a: by('h', 'id'), b: by('again', 'owner'), r: { type: 'reference' } })
  assert.equal(await tenantKeyspaceId(integers, 'k', '1'), '166b40b44aba4bd6')
  const texts = await store({ a: by('loose', 'name') })
  assert.equal(await tenantKeyspaceId(texts, 'k', 'Straße'), await tenantKeyspaceId(texts, 'k', 'STRASSE'))
})

test('a value that no vindex takes, or that two place differently, is refused: some of its tables would stay', async () => {
  const integers = await store({ a: by('h', 'id') })
  await assert.rejects(
    tenantKeyspaceId(integers, 'k', 'acme'),
    (error) => isSwError(error, 'SW-DUALWRITE-020') && /are none/.test(error.message),
  )
  const both = await store({ a: by('h', 'id'), b: by('x', 'id') })
  await assert.rejects(
    tenantKeyspaceId(both, 'k', '1'),
    (error) => isSwError(error, 'SW-DUALWRITE-020') && /166b40b44aba4bd6 \(a\); [0-9a-f]{16} \(b\)/.test(error.message),
  )
})
