/** KILL QUERY of what a session runs on a server: over a connection of its own, as the busy one can't be asked. */
import { connect } from '../mysql/connect.ts'
import type { Core } from './core.ts'
import type { ShardView } from './view.ts'

export async function killThread(core: Core, shard: ShardView, backendThreadId: number): Promise<void> {
  const { server, account } = shard
  const connection = await connect({
    ...(server.socketPath === null ? { host: server.host, port: server.port } : { socketPath: server.socketPath }),
    user: account.user,
    password: account.password,
    connectTimeoutMs: core.config.connectTimeoutMs,
  })
  try {
    await connection.query(`KILL QUERY ${backendThreadId}`)
  } finally {
    await connection.close().catch(() => {})
  }
}
