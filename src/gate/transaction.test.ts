/** Which shard decides a transaction that is to be all or nothing. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Backend } from './backend.ts'
import { Transaction, type TransactionHost } from './transaction.ts'
import type { ShardView } from './view.ts'

const nobody = { add() {}, delete() {} }
const core = {
  xa: { wanted: () => true, newId: ({ uid }: ShardView) => `sw1-x-${uid}` },
  deadlocks: nobody,
  pools: { left() {} },
  watch: { view: { keyspaces: new Map() } },
}
const host = { core, changed() {}, release() {}, giveUp() {} } as unknown as TransactionHost
const shardOf = (uid: string): ShardView => ({ uid, keyspace: 'app', name: uid, traffic: { transactions: nobody } }) as unknown as ShardView

test('promise 1: a transaction that begins again elsewhere is decided by the shard that it begins on then', () => {
  const transaction = new Transaction(true, { readOnly: null, snapshot: false, before: [] }, host)
  const begin = (uid: string): string | null => transaction.xaStart(transaction.addBranch(shardOf(uid), {} as Backend, false))
  const hex = (uid: string): RegExp => new RegExp(Buffer.from(`sw1-x-${uid}`).toString('hex'))
  assert.equal(begin('old-a'), null, 'the first is an ordinary transaction, and decides')
  assert.match(begin('old-b') ?? '', hex('old-a'))
  // Refused at its first statement, by a switch.
  for (const branch of transaction.branches.values()) transaction.dropBranch(branch)
  assert.equal(begin('new-a'), null)
  assert.match(begin('new-b') ?? '', hex('new-a'))
  assert.match(begin('new-c') ?? '', hex('new-a'))
})
