import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSaltedPassword } from '../mysql/salted-password.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { UserRecord } from '../topology/records.ts'
import { readRecord } from '../topology/typed.ts'
import { alterUser, createUser, dropUser, listUsers } from './users.ts'

const store = new MemoryStore()
const record = async (name: string): Promise<UserRecord> => (await readRecord<UserRecord>(store, keys.user(name)))!.value

test('promise 13: creating an account twice is creating it once; with anything else it is refused', async () => {
  const given = { name: 'app', password: 'secret', grant: ['read, write on app'] }
  const made = await createUser(store, given)
  assert.deepEqual(made.grants, { app: ['read', 'write'] })
  assert.deepEqual(await createUser(store, given), made)
  await assert.rejects(createUser(store, { ...given, password: 'other' }), { code: 'SW-CONTROL-001' })
  await assert.rejects(createUser(store, { name: 'app', password: 'secret' }), { code: 'SW-CONTROL-001' })
  await assert.rejects(createUser(store, { name: 'none' }), { code: 'SW-CONTROL-003' })
  assert.deepEqual((await createUser(store, { name: 'admin', password: 'x' })).grants, { '*': ['read', 'write', 'ddl'] })
})

test('no password is kept, only what proves it; the salted form alone where one plugin is asked for', async () => {
  await createUser(store, { name: 'both', password: 'hunter2' })
  await createUser(store, { name: 'salted', password: 'hunter2', plugin: 'caching_sha2_password' })
  await createUser(store, { name: 'native', password: 'hunter2', plugin: 'mysql_native_password' })
  for (const name of ['both', 'salted', 'native']) assert.ok(!JSON.stringify(await record(name)).includes('hunter2'))
  const salted = await record('salted')
  assert.deepEqual([salted.sha1, salted.sha256], [null, null])
  assert.ok(await isSaltedPassword(Buffer.from('hunter2'), Buffer.from(salted.salted ?? '', 'hex')))
  assert.equal((await record('native')).sha256, null)
})

test('an account is taken over by the hash that a server has', async () => {
  await createUser(store, { name: 'a', hash: '*14E65567ABDB5135D0CFD9A70B3032C179A49EE7' })
  assert.deepEqual((await listUsers(store)).find(({ name }) => name === 'a')?.plugins, ['mysql_native_password'])
  const { salted } = await record('salted')
  await createUser(store, { name: 'b', hash: `0x${salted}` })
  assert.equal((await record('b')).salted, salted)
  await assert.rejects(createUser(store, { name: 'c', hash: 'hunter2' }), { code: 'SW-CONTROL-006' })
})

test('rights are given and taken back, limits set and lifted; the rest stays', async () => {
  await alterUser(store, 'app', { grant: ['DDL on `app`.*', 'read on *'], limits: { rows: 10, scatter: 'refused' }, requireTls: true })
  let view = await alterUser(store, 'app', { revoke: ['write on app'] })
  assert.deepEqual(view.grants, { app: ['read', 'ddl'], '*': ['read'] })
  assert.deepEqual([view.limits, view.requireTls], [{ rows: 10, scatter: 'refused' }, true])
  await assert.rejects(alterUser(store, 'app', { revoke: ['read on app'] }), { code: 'SW-CONTROL-005' })
  view = await alterUser(store, 'app', {
    revoke: ['all on *', 'all on app'],
    limits: { rows: null, scatter: 'allowed' },
    requireTls: false,
  })
  assert.deepEqual([view.grants, view.limits, view.requireTls], [{}, {}, false])
  assert.equal((await record('app')).sha1, (await createUser(store, { name: 'again', password: 'secret' }), await record('again')).sha1)
  for (const grant of ['select on app', 'read app', 'read, fly on app']) {
    await assert.rejects(alterUser(store, 'app', { grant: [grant] }), { code: 'SW-CONTROL-004' })
  }
})

test('an account that is dropped, or was never there', async () => {
  await dropUser(store, 'again')
  assert.ok(!(await listUsers(store)).some(({ name }) => name === 'again'))
  await assert.rejects(dropUser(store, 'again'), { code: 'SW-CONTROL-002' })
  await assert.rejects(alterUser(store, 'again', { requireTls: true }), { code: 'SW-CONTROL-002' })
})
