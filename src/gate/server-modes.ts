/**
 * The modes by which the same text is another statement, as sessions have them that set no sql_mode: what every server has by default. Asked once, of every server, before
 * the first statement is read. From then on each connection of the pools has them, whatever its server's default is or becomes: what is read here is what is run there.
 *
 * While no server has answered, and for modes that some servers have and others do not, nothing can be said of a text that would be read otherwise: it is refused
 * (statement-text.ts), unless the session sets its sql_mode.
 */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteString } from '../sql/quote.ts'
import type { ServerRecord } from '../topology/records.ts'
import { placeOfServer } from '../topology/server-place.ts'
import type { ServerClocks } from './server-clocks.ts'
import { transactionDefault } from './settings.ts'
import { agreedDefaults, defaultsIn, defaultsSql, differingDefaults, givenText, type Defaults, type Given } from './server-defaults.ts'
import { modesIn, readingModes, type ReadingMode, type SqlModeDefault, type Undecided } from './sql-mode.ts'
import type { View } from './view.ts'

type Place = { readonly server: ServerRecord; readonly account: { readonly user: string; readonly password: string } }

/** Servers that say nothing are not waited for longer, once another one has answered. */
const stragglersMs = 1_000
/** After nobody answered. */
const pauseMs = 1_000

export class ServerModes implements SqlModeDefault {
  readonly #clock: Clock
  readonly #log: Log
  readonly #timeoutMs: number
  readonly #view: () => View
  readonly #clocks: ServerClocks
  /** By server: what it has by default beside its sql_mode, as it said first. */
  readonly #defaults = new Map<string, Defaults>()
  /** By server: what else its connections are given instead of its defaults. */
  #agreed: Given = new Map()
  /** Servers of which keyspaces have agreed. */
  #agreedIn: View | null = null
  /** Of a server: it has been told that its default differs; of a keyspace, what its servers have. */
  readonly #told = new Set<string>()
  #reading: readonly string[] = []
  #known = false
  #learning: Promise<void> | null = null
  #notBeforeMs = -Infinity
  text = ''
  undecided: Undecided | null = { modes: readingModes, why: 'no server has told it yet' }

  constructor(options: { clock: Clock; log: Log; connectTimeoutMs: number; view: () => View; clocks: ServerClocks }) {
    this.#clock = options.clock
    this.#log = options.log
    this.#timeoutMs = options.connectTimeoutMs
    this.#view = options.view
    this.#clocks = options.clocks
  }

  /** Servers are to be asked before a statement is read. */
  get unknown(): boolean {
    return !this.#known
  }

  /** Asks all servers, if none has answered yet. One asks for all who wait. */
  learn(): Promise<void> {
    if (this.#known) return Promise.resolve()
    this.#learning ??= this.#ask().finally(() => (this.#learning = null))
    return this.#learning
  }

  async #ask(): Promise<void> {
    const places = placesOf(this.#view())
    if (places.length === 0 || this.#clock.monotonicMs() < this.#notBeforeMs) return
    const found = new Map<string, readonly string[]>()
    const defaults = new Map<string, Defaults>()
    const answers = places.map(async (place) => {
      const { modes, others } = await this.#askOne(place)
      defaults.set(place.server.id, others)
      found.set(place.server.id, modesIn(modes))
    })
    const all = Promise.allSettled(answers)
    await Promise.race([all, this.#clock.sleep(stragglersMs)])
    if (found.size === 0) await Promise.race([all, Promise.any(answers).catch(() => {})])
    if (found.size === 0) this.#notBeforeMs = this.#clock.monotonicMs() + pauseMs
    else {
      this.#adopt(new Map(found))
      this.#agree(defaults)
    }
  }

  /** Servers come later, too: one that did not answer in time, those of a keyspace that is made while the gate runs. */
  #agree(heard: ReadonlyMap<string, Defaults>): void {
    const view = this.#view()
    const earlier = new Set(this.#defaults.keys())
    for (const [id, defaults] of heard) if (!earlier.has(id)) this.#defaults.set(id, defaults)
    if (this.#defaults.size === earlier.size && this.#agreedIn === view) return
    this.#agreedIn = view
    const keyspaces = serversOf(view)
    this.#agreed = agreedDefaults(keyspaces, this.#defaults, earlier, this.#agreed)
    for (const { keyspace, variable, values } of differingDefaults(keyspaces, this.#defaults)) {
      const told = JSON.stringify([keyspace, variable, values])
      if (this.#told.has(told)) continue
      this.#told.add(told)
      const given = new Set(Object.keys(values).map((id) => this.#agreed.get(id)?.get(variable)))
      const inForce = given.size === 1 ? [...given][0] : undefined
      const then =
        inForce === undefined ? 'sessions that do not set it get other values from each shard' : `sessions have ${inForce} on all of them`
      this.#log.error(
        { keyspace, variable, values, inForce: inForce ?? null },
        `the servers of keyspace ${keyspace} have another ${variable} each by default: ${then}. Make them alike, and restart the gate`,
      )
    }
  }

  async #askOne({ server, account }: Place): Promise<{ modes: string; others: Defaults }> {
    const { user, password } = account
    const connection = await connect({ ...placeOfServer(server), user, password, connectTimeoutMs: this.#timeoutMs })
    try {
      const modes = await this.#modeOf(connection, server)
      return { modes, others: await this.#defaultsOf(connection) }
    } finally {
      void connection.close().catch(() => {})
    }
  }

  async #modeOf(connection: Connection, server: ServerRecord): Promise<string> {
    return (await this.#inTime(connection, this.#clocks.ask(server.id, connection, '@@sql_mode'))) ?? ''
  }

  async #defaultsOf(connection: Connection): Promise<Defaults> {
    return defaultsIn(await this.#inTime(connection, connection.allText(defaultsSql)))
  }

  /** A server that is silent is given up. */
  async #inTime<T>(connection: Connection, answer: Promise<T>): Promise<T> {
    const late = setTimeout(() => connection.destroy(), this.#timeoutMs)
    try {
      return await answer
    } finally {
      clearTimeout(late)
    }
  }

  #adopt(found: ReadonlyMap<string, readonly string[]>): void {
    if (this.#known) return
    this.#known = true
    const sets = [...found.values()]
    this.#reading = readingModes.filter((mode) => sets.every((one) => one.includes(mode)))
    this.text = this.#reading.join(',')
    const differing = readingModes.filter((mode) => !this.#reading.includes(mode) && sets.some((one) => one.includes(mode)))
    this.undecided = null
    if (differing.length === 0) return
    const having = [...found].filter(([, one]) => differing.some((mode) => one.includes(mode))).map(([server]) => server)
    const why = `of the servers ${[...found.keys()].join(', ')} only ${having.join(', ')} ${having.length === 1 ? 'has' : 'have'} ${differing.join(', ')} by default`
    this.undecided = { modes: differing, why }
    this.#log.error(
      { servers: Object.fromEntries(found) },
      `the servers' default sql_modes differ: ${why}. What reads otherwise by them is refused`,
    )
  }

  /**
   * Gives a new connection the modes of sessions, for good: also behind each reset of it.
   * @param afterReset of its options: run by it after each reset
   * @param own for statements of the gate's own, which are written for none of these modes
   */
  async settle(connection: Connection, server: ServerRecord, afterReset: string[], own: boolean): Promise<void> {
    const has = await this.#modeOf(connection, server)
    if (!this.#known) await this.learn()
    const heard = this.#defaults.has(server.id) ? [] : [[server.id, await this.#defaultsOf(connection)] as const]
    this.#adopt(new Map([[server.id, modesIn(has)]]))
    this.#agree(new Map(heard))
    const wanted = own ? [] : this.#reading
    const base = quoteString(
      [...has.split(',').filter((mode) => mode !== '' && !readingModes.includes(mode as ReadingMode)), ...wanted].join(','),
    )
    const agreed = this.#agreed.get(server.id) ?? none
    const { transaction_isolation: isolation, ...others } = Object.fromEntries(agreed)
    const given = new Map([['sql_mode', base], ...Object.entries(others).map(([name, value]) => [name, givenText(value)] as const)])
    const prefix = connection.flavour === 'mariadb' ? 'tx' : 'transaction'
    const level = isolation === undefined ? 'DEFAULT' : quoteString(isolation)
    bases.set(
      connection,
      new Map([...given, ['isolation', transactionDefault('isolation', prefix, level)], ['access', transactionDefault('access', prefix)]]),
    )
    const statements = [
      `SET ${[...given].map((pair) => pair.join('=')).join(',')}`,
      ...(isolation === undefined ? [] : [`SET SESSION TRANSACTION ISOLATION LEVEL ${isolation.replace('-', ' ')}`]),
    ]
    afterReset.push(...statements)
    const reads = modesIn(has).join() === wanted.join()
    if (reads && agreed.size === 0) return
    for (const sql of statements) await connection.query(sql)
    if (reads) return
    if (own || this.#told.has(server.id)) return
    this.#told.add(server.id)
    this.#log.warn({ server: server.id, sqlMode: has, inForce: base }, 'sessions have another sql_mode than this server has by default')
  }
}

const bases = new WeakMap<Connection, ReadonlyMap<string, string>>()
const none: ReadonlyMap<string, string> = new Map()

/** What a connection on which nothing is set has instead of its server's defaults: values by variable, as SQL text. */
export function basesOf(connection: Connection): ReadonlyMap<string, string> {
  return bases.get(connection) ?? none
}

/** Of the keyspaces that stand on several, by name. */
function serversOf(view: View): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  for (const [name, { shards }] of view.keyspaces) {
    const servers = new Set(shards.flatMap((shard) => (shard.replicas ?? [shard]).map(({ server }) => server.id)))
    if (servers.size > 1) found.set(name, servers)
  }
  return found
}

/** One a server. */
function placesOf(view: View): Place[] {
  const found = new Map<string, Place>()
  for (const { shards } of view.keyspaces.values())
    for (const shard of shards)
      for (const place of shard.replicas ?? [shard]) if (!found.has(place.server.id)) found.set(place.server.id, place)
  return [...found.values()]
}
