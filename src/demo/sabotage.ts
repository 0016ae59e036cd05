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
  // Twice on its own shard, as a write that was applied a second time would be: under a new id, or the key would refuse it.
  if (kind === 'double-row') await on(first, (connection) => connection.query(`INSERT INTO ${table} SET ?`, [{ ...row, log_id: 2 ** 40 }]))
  if (kind === 'wrong-shard') await on(second, (connection) => connection.query(`INSERT INTO ${table} SET ?`, [row]))
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

export type SwitchHarm = {
  readonly target: ShardAddress
  /** Less than the switch's own patience with a statement (3 s): after that it gives up, and clients go on. */
  readonly holdMs: number
  /** True once the switch has begun to hold clients. */
  readonly held: () => Promise<boolean>
}

/**
 * Waits until clients are held, then holds the target's tables by a direct connection: the target can't drain, and the switch
 * must wait with everybody held. (A target that is held before the switch begins harms nobody: the switch waits for it with no
 * client held.) Returns once it is on the look-out.
 */
export async function harmSwitch(harm: SwitchHarm): Promise<void> {
  const { host, port, user, password } = harm.target
  const target = await mysql.createConnection({ host, port, user, password })
  const work = async (): Promise<void> => {
    while (!(await harm.held()));
    await target.query('FLUSH TABLES WITH READ LOCK')
    await new Promise((done) => setTimeout(done, harm.holdMs))
  }
  void work()
    .catch(() => undefined)
    .finally(() => target.destroy())
}
