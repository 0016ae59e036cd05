import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { EtcdStore } from '../topology/etcd.ts'
import { SqliteStore } from '../topology/sqlite.ts'
import { claimTopology, openTopology } from './topology.ts'

function inFolder<T>(body: (dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'sw-main-topology-'))
  try {
    return body(dir)
  } finally {
    rmSync(dir, { recursive: true })
  }
}

test('nothing said: the SQLite file of the data directory; etcd://…: that; anything else is refused, and so is a TLS file that is not there', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sw-main-topology-'))
  const local = openTopology(undefined, dir)
  assert.ok(local instanceof SqliteStore)
  await local[Symbol.asyncDispose]()
  const remote = openTopology('etcd://127.0.0.1:1/x', dir)
  assert.ok(remote instanceof EtcdStore)
  await remote[Symbol.asyncDispose]()
  assert.throws(() => openTopology('consul://h', dir), { code: 'SW-TOPOLOGY-011' })
  assert.throws(() => openTopology('etcd://h/x?ca=/nonexistent.pem', dir), { code: 'SW-TOPOLOGY-011', message: /nonexistent/ })
  rmSync(dir, { recursive: true })
})

test('a data directory keeps to its topology: another one is refused, another member of the same etcd is not', () => {
  inFolder((dir) => {
    claimTopology('etcd://a/one', dir)
    claimTopology('etcd://b,c/one', dir)
    assert.throws(() => claimTopology('etcd://a/two', dir), { code: 'SW-TOPOLOGY-011' })
    assert.throws(() => claimTopology(undefined, dir), { code: 'SW-TOPOLOGY-011', message: /belongs to the topology "etcd one\/"/ })
  })
  inFolder((dir) => {
    claimTopology(undefined, dir)
    claimTopology(undefined, dir)
    assert.throws(() => claimTopology('etcd://a/one', dir), { code: 'SW-TOPOLOGY-011' })
  })
})
