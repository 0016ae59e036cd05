/** A server with TLS, and a gate with TLS before it: `app` is a database of the first and a keyspace of the second, with one account for both. */
import { createSecureContext } from 'node:tls'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Gate } from '../../src/gate/gate.ts'
import { addKeyspace, addServer, addUser, MemoryStore, startGate } from '../../src/gate/testkit/world.ts'
import { connect } from '../../src/mysql/connect.ts'
import { Certificates } from '../kit/certificate.ts'
import { testServer } from '../kit/servers.ts'

export const account = { user: 'app', password: "s3cret'x" }
export const database = 'app'

export type ClientWorld = AsyncDisposable & {
  readonly flavour: 'mariadb' | 'mysql'
  readonly certificates: Certificates
  readonly ports: { readonly direct: number; readonly gate: number }
  readonly gate: Gate
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
  await admin.query(`CREATE DATABASE ${database} CHARACTER SET utf8mb4`)
  for (const user of [account.user, 'sw_gate']) await admin.query(`GRANT ALL ON *.* TO ${user}@'%'`)
  const store = new MemoryStore()
  await addServer(store, 's1', server.port, flavour)
  await addUser(store, account.user, account.password)
  await addKeyspace(store, database, [{ name: '-', serverId: 's1', schema: database }])
  const secure = createSecureContext({ cert: readFileSync(cert), key: readFileSync(key) })
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const { gate, port } = await startGate(store, {}, undefined, 'gate-1', { secureContext: () => secure, rsaKey: async () => rsa })
  return {
    flavour,
    certificates,
    gate,
    ports: { direct: server.port, gate: port },
    async [Symbol.asyncDispose]() {
      await gate.stop()
      await server[Symbol.asyncDispose]()
      certificates.remove()
    },
  }
}
