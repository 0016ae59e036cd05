/**
 * A server with TLS, and a gate with TLS before it. `app` and `shop` are databases of the first and keyspaces of the second, with one account for both; at the
 * gate `shop` has four shards, whose ids come from sequences, and `ids` has those.
 */
import { createSecureContext } from 'node:tls'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Gate } from '../../src/gate/gate.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from '../../src/gate/testkit/world.ts'
import { connect } from '../../src/mysql/connect.ts'
import { Certificates } from '../kit/certificate.ts'
import { testServer } from '../kit/servers.ts'

export const account = { user: 'app', password: "s3cret'x" }
const shards = ['-40', '40-80', '80-c0', 'c0-'].map((name) => ({ name, serverId: 's1', schema: `shop_${name.replace('-', '_')}` }))
const sequences = ['kinds_seq', 'notes_seq']
const vschema = {
  sharded: true,
  vindexes: { hash: { type: 'hash' } },
  tables: {
    kinds: { column_vindexes: [{ column: 'id', name: 'hash' }], auto_increment: { column: 'id', sequence: 'ids.kinds_seq' } },
    notes: { column_vindexes: [{ column: 'owner', name: 'hash' }], auto_increment: { column: 'id', sequence: 'ids.notes_seq' } },
  },
}

export type ClientWorld = AsyncDisposable & {
  readonly flavour: 'mariadb' | 'mysql'
  readonly certificates: Certificates
  readonly directPort: number
  /** Of a gate that has given out no id, as the tables are made anew. */
  gatePort(): Promise<number>
}

export async function startClientWorld(flavour: 'mariadb' | 'mysql'): Promise<ClientWorld> {
  const certificates = new Certificates()
  const { caFile, cert, key } = certificates
  const tls = { 'ssl-ca': caFile, 'ssl-cert': cert, 'ssl-key': key }
  const server = await testServer({
    flavour,
    extra: { ...tls, 'max-connections': 300, 'max-allowed-packet': '64M', 'log-bin-trust-function-creators': 1 },
  })
  await using admin = await connect(server.config)
  const password = account.password.replaceAll("'", "''")
  await admin.query(`CREATE USER ${account.user}@'%' IDENTIFIED BY '${password}'`)
  await admin.query("CREATE USER sw_gate@'%' IDENTIFIED BY 'gate-secret'")
  for (const database of ['app', 'shop', 'ids', ...shards.map(({ schema }) => schema)])
    await admin.query(`CREATE DATABASE ${database} CHARACTER SET utf8mb4`)
  for (const sequence of sequences) await admin.query(`CREATE TABLE ids.${sequence} (id INT PRIMARY KEY, next_id BIGINT, cache BIGINT)`)
  for (const user of [account.user, 'sw_gate']) await admin.query(`GRANT ALL ON *.* TO ${user}@'%'`)
  const store = new MemoryStore()
  await addServer(store, 's1', server.port, flavour)
  await addUser(store, account.user, account.password)
  for (const name of ['app', 'ids']) await addKeyspace(store, name, [{ name: '-', serverId: 's1', schema: name }])
  await addKeyspace(store, 'shop', shards, { sharded: true, vschema })
  const secure = createSecureContext({ cert: readFileSync(cert), key: readFileSync(key) })
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  let gate: Gate | null = null
  return {
    flavour,
    certificates,
    directPort: server.port,
    async gatePort() {
      await gate?.stop()
      await using connection = await connect(server.config)
      for (const sequence of sequences) await connection.query(`REPLACE INTO ids.${sequence} VALUES (0, 1, 100)`)
      const started = await startGate(store, {}, undefined, 'gate-1', { secureContext: () => secure, rsaKey: async () => rsa })
      ;({ gate } = started)
      return started.port
    },
    async [Symbol.asyncDispose]() {
      await gate?.stop()
      await server[Symbol.asyncDispose]()
      certificates.remove()
    },
  }
}
