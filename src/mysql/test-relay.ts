/** For tests: a gate of the smallest kind. Each client gets a connection of its own to the server; everything is relayed. */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { capability } from '../wire/capabilities.ts'
import { com } from '../wire/commands.ts'
import type { ServerAuthPlugin, StoredPassword } from './auth-server.ts'
import { connect } from './connect.ts'
import type { ConnectOptions } from './connection.ts'
import { isServerError } from './errors.ts'
import { acceptClient, clientHas, type ServerConnection } from './server-connection.ts'

export type TestRelay = AsyncDisposable & {
  readonly port: number
  /** Sessions that were accepted, newest last. */
  readonly sessions: ServerConnection[]
}

export async function testRelay(options: {
  backend: ConnectOptions
  users: Record<string, StoredPassword>
  plugin: ServerAuthPlugin
  tls?: { key: string; cert: string }
}): Promise<TestRelay> {
  const sessions: ServerConnection[] = []
  let threadId = 100
  const secureContext = options.tls === undefined ? undefined : tls.createSecureContext(options.tls)
  const server = net.createServer((socket) => {
    void session(socket)
  })
  async function session(socket: net.Socket): Promise<void> {
    const client = await acceptClient(socket, {
      serverVersion: '8.0.30-relay',
      threadId: threadId++,
      plugin: options.plugin,
      authenticate: (user) => options.users[user] ?? null,
      ...(secureContext === undefined ? {} : { secureContext }),
    })
    if (client === null) return
    sessions.push(client)
    const backend = await connect({
      ...options.backend,
      ...(client.database === '' ? {} : { database: client.database }),
      deprecateEof: false,
      charset: client.collation === 255 ? 'utf8mb4' : client.collation,
      foundRows: clientHas(client, capability.foundRows),
      multiStatements: clientHas(client, capability.multiStatements),
    }).catch((error: unknown) => {
      if (isServerError(error)) client.sendErr(error.errno, error.sqlState, error.serverMessage)
      client.close()
      return null
    })
    if (backend === null) return
    client.onClose(() => backend.destroy())
    backend.onClose(() => client.close())
    let paused = false
    client.onCommand((command) => {
      if (command.com === com.quit) {
        client.close()
        return
      }
      if (command.com === com.changeUser) {
        void client.changeUser(command).then((allowed) => {
          if (!allowed) return
          client.sendOk()
          client.ready()
        })
        return
      }
      if (command.com === com.stmtClose || command.com === com.stmtSendLongData) {
        backend.relay(command.framed(), ignore)
        client.ready()
        return
      }
      backend.relay(command.framed(), {
        bytes(frames) {
          client.write(frames)
          if (client.bufferedBytes > 1 << 18 && !paused) {
            paused = true
            backend.pause()
            client.onDrain(() => {
              paused = false
              backend.resume()
            })
          }
        },
        infile(frame) {
          client.write(frame)
          client.expectInfile((data) => backend.relayData(data))
        },
        end(end) {
          client.write(end.frame)
          client.ready()
        },
        fail(error) {
          client.destroy(error)
        },
      })
    })
    client.sendOk()
    client.ready()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  return {
    port,
    sessions,
    async [Symbol.asyncDispose]() {
      for (const open of sessions) open.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

const ignore = { bytes() {}, end() {}, fail() {} }
