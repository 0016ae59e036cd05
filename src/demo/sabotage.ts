/** One harm on purpose, by a direct connection to the servers: the demonstration must end with code 1 and name it. */
import mysql from 'mysql2/promise'
import type { ShardAddress } from './final-check.ts'
import { homesOf } from './final-check.ts'
import { table } from './workload.ts'

export const sabotages = ['lose-row', 'double-row', 'wrong-shard', 'error', 'slow-switch'] as const
export type Sabotage = (typeof sabotages)[number]

async function on<T>(shard: ShardAddress, work: (connection: mysql.Connection) => Promise<T>): Promise<T> {
  const connection = await mysql.createConnection({
    host: shard.host,
    port: shard.port,
    user: shard.user,
    password: shard.password,
    database: shard.schema,
  })
  try {
    return await work(connection)
  } finally {
    await connection.end()
  }
}

/** Harms to the rows as they stand at the end. */
export async function harmRows(kind: 'lose-row' | 'double-row' | 'wrong-shard', shards: readonly ShardAddress[]): Promise<string> {
  const [first, second] = shards
  if (first === undefined || second === undefined) throw new Error('a harm to rows needs two shards')
  const row = await on(first, async (connection) => {
    const [rows] = await connection.query(`SELECT * FROM ${table} ORDER BY log_id LIMIT 1`)
    return (rows as Record<string, unknown>[])[0]
  })
  if (row === undefined) throw new Error(`${first.name} has no row to harm`)
  if (kind !== 'lose-row') await on(second, (connection) => connection.query(`INSERT INTO ${table} SET ?`, [row]))
  if (kind !== 'double-row') await on(first, (connection) => connection.query(`DELETE FROM ${table} WHERE log_id = ?`, [row['log_id']]))
  const home = homesOf(
    [Number(row['user_id'])],
    shards.map((shard) => shard.name),
  ).get(Number(row['user_id']))
  return `${kind}: row op ${String(row['op'])} of user ${String(row['user_id'])} (home ${home})`
}

/** Ends the server's sessions of the gate, as a fault of the network would: what was under way fails. */
export async function harmConnections(shards: readonly ShardAddress[], gateUser: string): Promise<string> {
  let killed = 0
  for (const shard of shards) {
    await on(shard, async (connection) => {
      // Until one was hit in the middle of a statement or transaction, or all were idle too often.
      for (let attempt = 0; attempt < 40; attempt++) {
        const [rows] = await connection.query('SELECT ID AS id FROM information_schema.PROCESSLIST WHERE USER = ?', [gateUser])
        for (const { id } of rows as { id: number }[]) {
          await connection.query(`KILL ${id}`).then(
            () => killed++,
            () => undefined,
          )
        }
      }
    })
  }
  return `error: ${killed} sessions of the gate killed`
}

/** Holds a target's tables so that it cannot follow: the switch must wait. Returns what lets go. */
export async function harmSwitch(shard: ShardAddress, holdMs: number): Promise<void> {
  const connection = await mysql.createConnection({ host: shard.host, port: shard.port, user: shard.user, password: shard.password })
  await connection.query('FLUSH TABLES WITH READ LOCK')
  setTimeout(() => {
    connection.query('UNLOCK TABLES').then(
      () => connection.end(),
      () => connection.destroy(),
    )
  }, holdMs)
}
