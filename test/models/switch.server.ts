/**
 * What the room's own code (`claim.ts`, `fence.ts`, `step-ten.ts`) sends to a server, executed on a server of the switch model: account locks, read_only, sessions, named locks, the token row. A statement that changes
 * something and that is not known here is an error.
 */
import { ConnectionLost } from '../../src/mysql/errors.ts'
import type { Connection } from '../../src/mysql/connection.ts'
import { Broken, type Connection as ClientConnection, type Server, type Session, type World } from './switch.world.ts'

/** When it is a controller's turn, and what went wrong in a promise that others look after. */
export interface Turns {
  turn(): Promise<void>
  broken(error: Broken): void
}

type Row = Record<string, string | null>
type Kept = { noted: boolean; ctl: Session | null; lock: Session | null }

/** What a server keeps beside what the model has of it. */
const keptOn = new WeakMap<Server, Kept>()
export function kept(server: Server): Kept {
  let own = keptOn.get(server)
  if (own === undefined) keptOn.set(server, (own = { noted: server.locked, ctl: null, lock: null }))
  return own
}

const ids = new WeakMap<Session | ClientConnection, string>()
let lastId = 0
function idOf(one: Session | ClientConnection): string {
  let id = ids.get(one)
  if (id === undefined) ids.set(one, (id = String(++lastId)))
  return id
}

export class ModelConnection {
  readonly flavour = 'mariadb'
  readonly #world: World
  readonly #turns: Turns
  readonly #session: Session

  constructor(world: World, turns: Turns, session: Session) {
    this.#world = world
    this.#turns = turns
    this.#session = session
  }

  get asConnection(): Connection {
    return this as unknown as Connection
  }

  get session(): Session {
    return this.#session
  }

  get open(): boolean {
    return this.#session.alive && this.#session.server.up
  }

  destroy(): void {
    this.#session.server.killSession(this.#session)
  }

  async ping(): Promise<void> {
    await this.statement('ping', () => undefined)
  }

  async query(sql: string): Promise<{ kind: 'ok'; affectedRows: bigint } | { kind: 'rows'; rows: [] }> {
    if (/^(SELECT|SHOW)/.test(sql)) return { kind: 'rows', rows: [] }
    let affectedRows = 0n
    await this.statement(sql, () => (affectedRows = this.#change(sql)))
    return { kind: 'ok', affectedRows }
  }

  async allText(sql: string): Promise<Row[]> {
    await (this.#world.chance(0.05) ? this.#turns.turn() : null)
    this.#alive()
    return this.#read(sql)
  }

  async value(sql: string): Promise<string | null | undefined> {
    if (sql.startsWith('SELECT GET_LOCK')) {
      let got = '0'
      await this.statement(sql, () => (got = this.#lock()))
      return got
    }
    const [row] = await this.allText(sql)
    return row === undefined ? undefined : Object.values(row)[0]
  }

  /** One after another, as they were sent at once; what fails leaves the others. */
  async pipelineSettled(sqls: readonly string[]): Promise<PromiseSettledResult<unknown>[]> {
    const results: PromiseSettledResult<unknown>[] = []
    for (const sql of sqls) results.push(...(await Promise.allSettled([this.query(sql)])))
    return results
  }

  /** It may be done though its answer never comes. */
  async statement(what: string, act: () => unknown): Promise<void> {
    const world = this.#world
    const session = this.#session
    const { server } = session
    if (what.startsWith('SET SESSION')) return
    const opens = /ACCOUNT UNLOCK|read_only = 0/.test(what)
    const closes = /ACCOUNT LOCK|read_only = 1/.test(what)
    world.nap(session.controller, opens ? 0.15 : closes ? 0.04 : 0.01)
    await this.#turns.turn()
    this.#alive()
    world.say(`token ${session.token}: ${what.slice(0, 60)} on ${server.name}`)
    try {
      act()
      // A restart between two effects, so quick that only the session is lost.
      if ((opens || closes) && !world.calm && world.chance(0.07)) world.restart(server)
    } catch (error) {
      if (error instanceof Broken) this.#turns.broken(error)
      throw error
    }
    if (!world.calm && world.chance(0.01)) server.killSession(session)
    this.#alive()
  }

  #alive(): void {
    if (!this.open) throw new ConnectionLost('outcomeUnknown', this.#session.server.name)
  }

  #change(sql: string): bigint {
    const world = this.#world
    const { server } = this.#session
    const own = kept(server)
    const kill = /^KILL (?:CONNECTION )?(\d+)$/.exec(sql)?.[1]
    if (kill !== undefined) {
      for (const connection of server.connections.filter((one) => idOf(one) === kill)) {
        connection.killed = true
        server.settle(connection)
      }
      server.killSessions((session) => idOf(session) === kill)
    } else if (sql === "ALTER USER 'app'@'%' ACCOUNT LOCK") world.setLocked(server, true)
    else if (sql === "ALTER USER 'app'@'%' ACCOUNT UNLOCK") world.setLocked(server, false)
    else if (sql === 'SET GLOBAL read_only = 1') world.setReadOnly(server, true)
    else if (sql === 'SET GLOBAL read_only = 0') world.setReadOnly(server, false)
    else if (sql.startsWith('INSERT IGNORE INTO _shardwright.control_locked')) own.noted = true
    else if (sql === 'DELETE FROM _shardwright.control_locked') own.noted = false
    else {
      const [, token, most] = /^UPDATE _shardwright.control_token SET token = (\d+) WHERE id = 1 AND token <= (\d+)$/.exec(sql) ?? []
      if (token === undefined) throw new Error(`not a statement that the model knows: ${sql}`)
      if (server.token > Number(most)) return 0n
      server.token = Number(token)
    }
    return 1n
  }

  #lock(): string {
    const own = kept(this.#session.server)
    if (own.ctl !== null && own.ctl.alive && own.ctl !== this.#session) return '0'
    own.ctl = this.#session
    return '1'
  }

  #read(sql: string): Row[] {
    const { server } = this.#session
    const { noted, ctl, lock } = kept(server)
    const holder = (session: Session | null): string | null => (session?.alive === true ? idOf(session) : null)
    if (sql.includes('IS_USED_LOCK')) return [{ ctl: holder(ctl), locks: holder(lock) }]
    if (sql.includes('@@GLOBAL.read_only')) return [{ v: server.readOnly ? '1' : '0' }]
    if (sql.includes('FROM _shardwright.control_token')) return [{ installation: 'i', server: server.name, token: String(server.token) }]
    if (sql.includes('FROM mysql.global_priv'))
      return [
        { user: 'app', host: '%', plugin: '', locked: String(server.locked) },
        { user: 'admin', host: '%', plugin: '', locked: 'false' },
      ]
    if (sql.includes('FROM _shardwright.control_locked')) return noted ? [{ user: 'app', host: '%' }] : []
    // Where read_only may not be set sessions are ended until none is left.
    if (sql.includes('FROM _shardwright.control_fence')) return [{ kind: server.hasReadOnly ? 'locks' : 'kill', schema_list: '["m"]' }]
    if (/^SHOW (FULL )?PROCESSLIST$/.test(sql))
      return server.connections.map((one) => ({
        Id: idOf(one),
        User: 'app',
        Host: 'h',
        Command: one.killed ? 'Killed' : one.busy ? 'Query' : 'Sleep',
      }))
    // Events, privileges, roles, procedures, transactions: none.
    return []
  }
}
