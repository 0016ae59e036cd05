/**
 * What an idle client costs the gate in memory: resident bytes of its process before and after so many connected, each having run a statement.
 *
 *     node bench/idle.ts [--clients 5000]
 */
import { parseArgs } from 'node:util'
import { startMariadb } from '../src/gate/testkit/servers.ts'
import { connect } from '../src/mysql/connect.ts'
import type { Connection } from '../src/mysql/connection.ts'
import { gateProcesses, residentBytes } from './gate-kit.ts'

const { values } = parseArgs({ options: { clients: { type: 'string', default: '5000' } } })
const clients = Number(values.clients)
const atOnce = 50

const server = await startMariadb()
await (await server.admin()).query('CREATE DATABASE sbtest')
const gate = await gateProcesses(server.port, 1)
const pid = gate.pids[0] as number
try {
  const open = async (count: number): Promise<Connection[]> => {
    const opened: Connection[] = []
    for (let i = 0; i < count; i += atOnce) {
      opened.push(
        ...(await Promise.all(
          Array.from({ length: Math.min(atOnce, count - i) }, async () => {
            const c = await connect({ host: '127.0.0.1', port: gate.port, user: 'bench', password: 'bench', database: 'sbtest' })
            await c.query('SELECT 1')
            return c
          }),
        )),
      )
    }
    return opened
  }
  // What the process takes once, whoever comes.
  for (const c of await open(500)) await c.close()
  const before = await residentBytes(pid)
  const held = await open(clients)
  const after = await residentBytes(pid)
  for (const c of held) await c.query('SELECT 2')
  const used = await residentBytes(pid)
  const kib = (bytes: number): string => ((bytes - before) / clients / 1024).toFixed(1)
  console.log(
    `${clients} idle clients: ${kib(after)} KiB each (${kib(used)} after another statement of each); the gate alone ${Math.round(before / 1e6)} MB`,
  )
  console.log(`all answer: ${(await Promise.all(held.map((c) => c.value('SELECT 3')))).every((value) => value === '3')}`)
  for (const c of held) c.destroy()
} finally {
  gate.stop()
  await server.stop()
}
process.exit(0)
