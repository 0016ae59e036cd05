/** Who comes in, what he may see, what he is refused: at a gate whose keyspaces have no server, as none is asked before. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { createSecureContext } from 'node:tls'
import mysql from 'mysql2/promise'
import { Certificates } from '../../test/kit/certificate.ts'
import { until } from '../../test/kit/until.ts'
import { connect } from '../mysql/connect.ts'
import { saltedPassword } from '../mysql/salted-password.ts'
import { keys } from '../topology/keys.ts'
import type { UserRecord } from '../topology/records.ts'
import type { Gate } from './gate.ts'
import { failsWith } from './testkit/fails-with.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from './testkit/world.ts'

const certificates = new Certificates()
const store = new MemoryStore()
let rsa: KeyObject
let gate: Gate
let port: number

before(async () => {
  rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  await addServer(store, 's1', 9)
  for (const name of ['app', 'other', 'third']) await addKeyspace(store, name, [{ name: '-', serverId: 's1', schema: name }])
  await addUser(store, 'root', 'secret')
  await addUser(store, 'reader', 'secret', { grants: { app: ['read'] } })
  await addUser(store, 'tls', 'secret', { requireTls: true })
  const salted = (await saltedPassword('secret')).toString('hex')
  await addUser(store, 'salted', 'secret', { sha1: null, sha256: null, salted })
  await addUser(store, 'native', 'secret', { sha256: null })
  const secure = createSecureContext({ cert: readFileSync(certificates.cert), key: readFileSync(certificates.key) })
  ;({ gate, port } = await startGate(store, {}, undefined, 'gate-1', { secureContext: () => secure, rsaKey: async () => rsa }))
})

after(async () => {
  await gate?.stop()
  certificates.remove()
})

const overTls = { ssl: { ca: certificates.ca } }
const client = (user: string, more: mysql.ConnectionOptions = {}): Promise<mysql.Connection> =>
  mysql.createConnection({ host: '127.0.0.1', port, user, password: 'secret', ...more })
const databases = async (c: mysql.Connection): Promise<string[]> =>
  ((await c.query({ sql: 'SHOW DATABASES', rowsAsArray: true }))[0] as string[][]).map(([name]) => name as string)

test('with TLS and without; an account that takes TLS only is told so when it is known', async () => {
  for (const options of [{}, overTls]) await (await client('root', options)).end()
  await (await client('tls', overTls)).end()
  await failsWith(client('tls'), 3159, /insecure transport/)
  await failsWith(client('tls', { password: 'wrong' }), 1045)
  const strict = await startGate(store, { requireTls: true }, undefined, 'gate-2', {
    secureContext: () => createSecureContext({ cert: readFileSync(certificates.cert), key: readFileSync(certificates.key) }),
  })
  await failsWith(client('root', { port: strict.port }), 3159)
  await (await client('root', { port: strict.port, ...overTls })).end()
  await strict.gate.stop()
})

test('caching_sha2_password with the salted hash alone: full under TLS, full by RSA key, then fast; a wrong password never', async () => {
  await failsWith(client('salted', { password: 'wrong' }), 1045)
  await failsWith(client('salted', { password: 'wrong', ...overTls }), 1045)
  await failsWith(client('salted', { password: '' }), 1045)
  // Asks for the key; a second gate knows nothing of what the first learned.
  const second = await startGate(store, {}, undefined, 'gate-3', { rsaKey: async () => rsa })
  await (await client('salted', { port: second.port })).end()
  await second.gate.stop()
  // Without a key and without TLS the password can't be shown.
  const third = await startGate(store, {}, undefined, 'gate-4')
  await failsWith(client('salted', { port: third.port }), 1045)
  await third.gate.stop()
  const shown: string[] = []
  const knowing = await startGate(store, {}, undefined, 'gate-5', {
    rsaKey: async () => {
      shown.push('asked')
      return rsa
    },
  })
  for (let i = 0; i < 2; i++) await (await client('salted', { port: knowing.port })).end()
  assert.deepEqual(shown, ['asked'])
  // Another password: what was learned of the one before does not let anybody in.
  await addUser(store, 'salted', '', { sha1: null, sha256: null, salted: (await saltedPassword('changed')).toString('hex') })
  await until('the new password', async () => ((await client('salted', { port: knowing.port, password: 'changed' })).end(), true))
  await failsWith(client('salted', { port: knowing.port }), 1045)
  await knowing.gate.stop()
  await (await client('salted', { password: 'changed', ...overTls })).end()
})

test('an account of one plugin is asked for that one, whichever the client begins with', async () => {
  const own = await connect({ host: '127.0.0.1', port, user: 'native', password: 'secret' })
  assert.equal(await own.value('SELECT CONNECTION_ID()'), String(own.threadId))
  await own.changeUser({ user: 'salted', password: 'changed' })
  await own.changeUser({ user: 'native', password: 'secret' })
  await own.close()
})

test('a keyspace without a right is not to be seen, entered, read or written; whether it exists is not told', async () => {
  const c = await client('reader', { database: 'app' })
  assert.deepEqual(await databases(c), ['app', 'information_schema'])
  await failsWith(client('reader', { database: 'other' }), 1044)
  await failsWith(client('reader', { database: 'nowhere' }), 1044)
  await failsWith(client('root', { database: 'nowhere' }), 1049)
  for (const sql of ['USE other', 'USE nowhere', 'USE `other@replica`', 'SELECT * FROM other.t', 'SHOW TABLES FROM other'])
    await failsWith(c.query(sql), 1044)
  await failsWith(c.query('SELECT * FROM mysql.user'), 1044)
  await failsWith(c.changeUser({ database: 'other', user: 'reader', password: 'secret' }), 1044)
  await c.end().catch(() => {})
  const d = await client('reader', { database: 'app' })
  for (const sql of [
    'INSERT INTO t VALUES (1)',
    'SELECT * FROM t FOR UPDATE',
    'UPDATE t SET a = 1',
    'DROP TABLE t',
    'CREATE TABLE t (a INT)',
  ])
    await failsWith(d.query(sql), 1142, /reader.*table 't'.*user alter/)
  await failsWith(d.execute('DELETE FROM t WHERE a = ?', [1]), 1142, /DELETE command denied/)
  for (const sql of ['SET GLOBAL max_connections = 1', 'FLUSH TABLES', "PREPARE s FROM 'SELECT 1'", 'CREATE TABLE v LIKE other.t'])
    await failsWith(d.query(sql), 1227)
  assert.deepEqual((await d.query({ sql: 'SHOW GRANTS', rowsAsArray: true }))[0], [
    ['GRANT USAGE ON *.* TO `reader`@`%`'],
    ['GRANT SELECT, SHOW VIEW ON `app`.* TO `reader`@`%`'],
  ])
  await d.end()
})

test('sessions of other users are not shown to those who may not do all', async () => {
  const [root, reader] = [await client('root'), await client('reader')]
  const users = async (c: mysql.Connection): Promise<string[]> =>
    ((await c.query('SHOW PROCESSLIST'))[0] as { User: string }[]).map((row) => row.User)
  assert.deepEqual(await users(reader), ['reader'])
  assert.ok((await users(root)).includes('reader'))
  await root.end()
  await reader.end()
})

test('no database chosen: a table without one is an error, whoever asks', async () => {
  const c = await client('root')
  await failsWith(c.query('SELECT * FROM t'), 1046)
  await failsWith(c.query('DELETE FROM t'), 1046)
  await failsWith(c.execute('SELECT * FROM t'), 1046)
  await c.end()
})

test('a right that is withdrawn, a dropped account and a new demand for TLS hold at the next statement', async () => {
  await addUser(store, 'changing', 'secret', { grants: { app: ['read'], other: ['read'] } })
  const record = (): UserRecord | undefined => gate.core.watch.view.users.get('changing')
  await until('the user', record)
  const [c, d] = [await client('changing', { database: 'app' }), await client('changing', { database: 'app' })]
  assert.deepEqual(await databases(c), ['app', 'information_schema', 'other'])
  await addUser(store, 'changing', 'secret', { grants: { other: ['read'] } })
  await until('the right to be gone', () => record()?.grants?.['app'] === undefined)
  assert.deepEqual(await databases(c), ['information_schema', 'other'])
  await failsWith(c.query('SELECT * FROM t'), 1044)
  await addUser(store, 'changing', 'secret', { requireTls: true })
  await until('the demand for TLS', () => record()?.requireTls)
  await failsWith(c.query('SHOW DATABASES'), 3159)
  await store.commit([], [{ key: keys.user('changing'), value: undefined }])
  await until('the user to be gone', () => record() === undefined)
  await failsWith(d.query('SHOW DATABASES'), 1045, /dropped/)
  for (const one of [c, d]) await assert.rejects(one.query('SHOW DATABASES'))
  await failsWith(client('changing'), 1045)
})
