// long: the switch over a client's commands and statements; what each does stands in files of its own
/**
 * One client's session: takes its commands one at a time and answers each. What a statement is decides who answers it: the
 * gate itself (session state, transactions, KILL, SHOW DATABASES), an unsharded keyspace's server (runner.ts, as it is), or
 * the shards of a sharded one (sharded.ts).
 */
import { isSwError, SwError } from '../base/errors.ts'
import type { Connection, RelayEnd } from '../mysql/connection.ts'
import type { ClientCommand, ServerConnection } from '../mysql/server-connection.ts'
import type { Lexed } from '../sql/lexer.ts'
import { capability, has } from '../wire/capabilities.ts'
import { com, setOption } from '../wire/commands.ts'
import { wireErrors } from '../wire/errors.ts'
import { cutOffSilent } from './abandoned.ts'
import { Access } from './access.ts'
import { ChangedDefinitions, type DefinitionChange } from './column-definitions.ts'
import { askedSchemata, requireAlike } from './asked-schemata.ts'
import { charsetOfCollation, initialNames } from './charsets.ts'
import { clientError } from './client-error.ts'
import type { Core } from './core.ts'
import { isGivenUp } from './deadlocks.ts'
import { nothingSaid, saidOf } from './scatter-warnings.ts'
import { leavesDiagnostics, leavingDiagnostics, takeDiagnostics } from './diagnostics.ts'
import { marking } from './drawn.ts'
import { gateErrors } from './errors.ts'
import { Guard } from './guard.ts'
import { InfileRelay } from './infile.ts'
import { textMayGiveId } from './insert-id.ts'
import { statistics } from './local.ts'
import { afterCommit, ddlOf } from './moved-tables.ts'
import { needsKeyspace } from './needs.ts'
import { isOfDiagnostics, withValues, type SessionCall, type SessionValues } from './session-calls.ts'
import { homeOfLocks, lockHome, namesSystem, notNamed, targetOf } from './unsharded-target.ts'
import { refuseOwnAccountsOf } from './own-account.ts'
import { notTheConditions, notTheFoundRows, OwnStatements, type OwnSession } from './own-statements.ts'
import { classifyCached, relayed } from './passthrough-cache.ts'
import { readsNoTable, type Passthrough, type Relay } from './passthrough.ts'
import type { Qualified } from './qualified.ts'
import { Relayer } from './relay.ts'
import { eofFrame, errorFrame, framedQuery } from './replies.ts'
import { firstShard, HalfAnswered, type Request } from './request.ts'
import { Runner } from './runner.ts'
import { SessionConnections } from './session-connections.ts'
import { PreparedStatements } from './session-prepared.ts'
import { SessionSettings } from './settings.ts'
import { errno, ServerError } from '../mysql/errors.ts'
import { asksSchemata } from './schemata.ts'
import { SeveralAnswers } from './several-answers.ts'
import { requireSeveral, statementsOf } from './several-statements.ts'
import { Sharded } from './sharded.ts'
import { lexStatement, modeOf } from './statement-text.ts'
import { showsDatabase } from './schema-names.ts'
import { toldInKeyspace } from './told-names.ts'
import { usedLocks } from './used-locks.ts'
import type { UserRecord } from '../topology/records.ts'

const emptyPins = [] as const
/** Who was told that its session is over has so long to close its side, and what it sent before it read that is thrown away. */
const lingerMs = 1_000
/** Who has connected while the gate ends has so long for its first command: applications that connect for one statement see nothing of it. */
const firstCommandMs = 500

export class Session implements OwnSession {
  readonly threadId: number
  readonly host: string
  readonly #core: Core
  readonly #client: ServerConnection
  readonly #relayer: Relayer
  readonly #runner: Runner
  readonly #sharded: Sharded
  readonly #prepared: PreparedStatements
  readonly #access: Access
  readonly #own: OwnStatements
  readonly #guard: Guard
  /** What stops a statement was sent, and may not have arrived. */
  #stopping: Promise<unknown> | null = null
  /** Nobody waits for what is under way; aborted when that is over. */
  #abandoned: AbortController | null = null
  #ended = false
  /** The statement's text without its literals. */
  #shape: string | null = null
  keyspace = ''
  #abort = new AbortController()
  #closed = false
  #draining = false
  /** Since when its client has been told that it is over. */
  #toldMs: number | null = null
  #sinceMs = 0
  /** A command has come. */
  #asked = false
  /** The client's library asked for several statements in one text. */
  #asksForSeveral: boolean
  /** Waits for the client's file. */
  #infile: Connection | null = null
  #current: Buffer | null = null
  #currentStart = 0

  constructor(core: Core, client: ServerConnection) {
    this.#core = core
    this.#client = client
    this.threadId = client.threadId
    this.host = client.address
    this.#asksForSeveral = has(client.capabilities, capability.multiStatements)
    this.#relayer = new Relayer(client, core.config.clientBufferBytesMax)
    this.#guard = new Guard(core, (why) => {
      this.#relayer.stopped = why
      this.#stop(why)
    })
    const agreed = { foundRows: has(client.capabilities, capability.foundRows), extendedMetadata: client.extendedMetadata }
    this.#runner = new Runner(
      core,
      this.#relayer,
      new SessionConnections(core, new SessionSettings(core.modes), agreed, client.threadId),
      this.#guard,
    )
    this.#runner.giveUp = (why) => {
      if (this.#current === null) return
      this.#relayer.stopped = why
      this.#stop(why)
    }
    this.#sharded = new Sharded(
      core,
      this.#runner,
      client,
      () => this.keyspace,
      (keyspace, sql) => this.#onOneServer(keyspace, sql),
    )
    this.#access = new Access(core, client)
    this.#own = new OwnStatements(core, client, this.#runner, this.#sharded, this.#access, this)
    this.#prepared = new PreparedStatements(core, this.#runner, this.#sharded, this.#access, this, (text) => this.#executed(text))
    this.#relayer.onExceeded = (what, connection) => {
      this.#stopping = core.pools.killQuery(connection).catch(() => {})
      this.#abandon()
      return this.#guard.exceeded(what)
    }
    this.#relayer.onInfile = (frame, connection) => {
      this.#infile = connection
      new InfileRelay(client, connection).start(frame)
    }
  }

  get user(): string {
    return this.#client.user
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Greets the verified client; false when it was refused. */
  start(): boolean {
    try {
      this.#adopt()
    } catch (error) {
      this.#fail(error, this.#client.sequence)
      this.#client.close()
      return false
    }
    this.#sinceMs = this.#core.clock.monotonicMs()
    this.#core.sessions.set(this.threadId, this)
    this.#core.stats.sessions++
    this.#client.onClose(() => void this.#end())
    this.#client.sendOk({ status: this.#runner.status })
    this.#client.onCommand((c) => void this.#command(c))
    this.#client.onTooLarge((sequence) => this.#tooLarge(sequence))
    this.#client.ready()
    return true
  }

  /** What the handshake (or COM_CHANGE_USER) said. */
  #adopt(): void {
    const { database, collation } = this.#client
    this.#follow(this.#access.refresh(true))
    const keyspace = database === '' ? '' : this.#keyspaceNamed(database)
    const charset = charsetOfCollation(collation)
    if (charset === null) throw gateErrors.charset({ charset: `of collation ${collation}` })
    this.keyspace = keyspace
    this.#runner.settings.clear()
    this.#adoptCharset()
  }

  /** Rights and limits as they are now. */
  #follow(user: UserRecord | null): void {
    if (user !== null) this.#guard.follow(user)
  }

  #adoptCharset(): void {
    const names = initialNames(this.#client.collation)
    if (names !== null) this.#runner.settings.set('names', names)
  }

  /** The gate ends: so does the session, as soon as nothing of it is open. What runs is answered, a transaction may come to its COMMIT, and temporary tables and named locks stay for the grace. One that has just connected gets what it came for. */
  drain(): void {
    this.#draining = true
    if (this.#toldMs !== null || this.#current !== null || this.#open) return
    if (!this.#asked && this.#core.clock.monotonicMs() - this.#sinceMs < firstCommandMs) return
    this.#leave(gateErrors.draining())
  }

  /** Its client knows that it is over. */
  get told(): boolean {
    return this.#toldMs !== null
  }

  /** As servers do: what came is not run, and what would come behind it is not read. */
  #tooLarge(sequence: number): void {
    const { packetBytesMax } = this.#core.config
    this.#core.stats.errors++
    this.#core.log.warn(
      { session: this.threadId, user: this.user, keyspace: this.keyspace, bytesMax: packetBytesMax },
      'a client sent a packet above the bound, and its session ends',
    )
    this.#leave(gateErrors.packetTooLarge({ bytesMax: packetBytesMax }), sequence)
  }

  #leave(why: Error, sequence = 1): void {
    this.#toldMs ??= this.#core.clock.monotonicMs()
    this.#client.leave(errorFrame(why, sequence))
  }

  /** It was told a while ago, and does not go. One that still takes its answer has the time of those (`endIfStalled`). */
  endIfTold(nowMs: number): void {
    if (this.#toldMs !== null && nowMs - this.#toldMs > lingerMs && this.#client.bufferedBytes === 0) this.#client.destroy()
  }

  /** The time to end is over: what it has open is rolled back. A COMMIT that comes now is answered by that, and its outcome is known. */
  cutOff(): void {
    if (this.#toldMs === null && this.#current === null) this.#leave(gateErrors.draining())
  }

  /** Nothing came from its client since that moment: it ends, and what it has open is rolled back. */
  endIfIdle(sinceMs: number): void {
    if (this.#closed || this.#toldMs !== null || this.#current !== null || this.#sinceMs > sinceMs) return
    this.#leave(gateErrors.idle({ ms: this.#core.config.idleSessionMs }))
  }

  /** Its client takes nothing of what was written for so long: it is cut off, as servers do (`net_write_timeout`, which the session may have set longer). */
  endIfStalled(nowMs: number): void {
    const sinceMs = this.#client.stalledSince(nowMs)
    if (sinceMs === null) return
    const own = Number(this.#runner.settings.get('net_write_timeout') ?? 0) * 1000
    if (nowMs - sinceMs > Math.max(own, this.#core.config.clientStallMs)) this.#client.destroy()
  }

  kill(what: 'connection' | 'query'): void {
    this.#stop(gateErrors.killed())
    if (what === 'connection') this.#client.destroy()
  }

  #stop(why: Error): void {
    this.#abort.abort(why)
    const running = this.#runner.running
    if (running !== null) this.#stopping = this.#core.pools.killQuery(running.backend.connection).catch(() => {})
    this.#relayer.interrupt(why)
    const parts = this.#sharded.kill()
    if (parts !== null) this.#stopping = parts
    if (this.#current !== null) this.#abandon()
  }

  #abandon(): void {
    if (this.#abandoned !== null) return
    this.#abandoned = new AbortController()
    void cutOffSilent(this.#core, this.#runner.connections, this.#abandoned.signal, () => !this.#ended)
  }

  #over(): void {
    this.#abandoned?.abort()
    this.#abandoned = null
  }

  async #end(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#core.sessions.delete(this.threadId)
    this.#core.stats.sessions--
    this.#abort.abort(gateErrors.killed())
    // The rest of the file will not come, and the server would wait for it.
    if (this.#infile !== null && this.#runner.running?.backend.connection === this.#infile) this.#infile.destroy()
    // Nobody waits for the rows of a read any more.
    const running = this.#runner.running
    if (running !== null && running.effect === 'read') void this.#core.pools.killUnawaited(running.backend.connection)
    this.#sharded.leave()
    // A running statement is let finish: it may be a write. What it held goes back at its end.
    this.#abandon()
    if (this.#current === null) await this.#giveBack()
  }

  async #giveBack(): Promise<void> {
    await this.#runner.end()
    this.#ended = true
    // A transaction that was lost may be rolled back still, behind the back of the client that was told.
    if (this.#core.pools.unanswered(this.#runner.connections).size === 0) this.#over()
  }

  #fail(error: unknown, sequence = 1): void {
    if (error instanceof HalfAnswered) {
      const cause = error.cause instanceof Error ? error.cause.message : ''
      this.#core.log.warn(
        { session: this.threadId, keyspace: this.keyspace, error: error.message, cause },
        'a client was cut off in the midst of an answer',
      )
      this.#client.destroy(error)
      return
    }
    if (!(error instanceof SwError) && !(error instanceof ServerError))
      this.#core.log.error(
        { session: this.threadId, error: error instanceof Error ? error.stack : String(error) },
        'a statement failed inside the gate',
      )
    this.#core.stats.errors++
    this.#runner.warnings = 0
    this.#runner.figures.failed = true
    const told = this.#isOurs(error) ? this.#relayer.stopped : error
    const { errno: number, message } = clientError(told)
    this.#runner.connections.said = saidOf([['Error', String(number), message]])
    this.#client.write(errorFrame(told, sequence))
  }

  /** It came of our stopping the statement. */
  #isOurs(error: unknown): boolean {
    const { stopped } = this.#relayer
    return stopped !== null && (error === stopped || (error instanceof ServerError && error.kind === 'interrupted'))
  }

  async #command(c: ClientCommand): Promise<void> {
    this.#current = c.data
    this.#currentStart = c.start
    this.#asked = true
    this.#sinceMs = this.#core.clock.monotonicMs()
    if (this.#abort.signal.aborted) this.#abort = new AbortController()
    this.#runner.connections.signal = this.#abort.signal
    let answered = true
    this.#shape = null
    try {
      this.#follow(this.#access.refresh())
      if (this.#core.modes.unknown) await this.#core.modes.learn()
      // It must not meet the statement that comes now.
      if (this.#stopping !== null) await this.#stopped()
      if (this.#guard.on && isStatement(c.com)) await this.#guard.begin(this.#runner.transaction !== null, this.#abort.signal)
      switch (c.com) {
        case com.query:
          this.#core.stats.statements++
          await this.#query(c.data.subarray(c.start + 1, c.end), c)
          break
        case com.stmtExecute:
          this.#core.stats.statements++
          await this.#execute(c)
          break
        case com.stmtPrepare:
          this.#client.write(
            await this.#prepared.prepare(Buffer.from(c.data.subarray(c.start + 1, c.end)), this.keyspace, this.#abort.signal),
          )
          break
        case com.stmtClose:
          this.#prepared.close(numberOf(c, 4))
          break
        case com.stmtSendLongData:
          this.#prepared.longData(c)
          break
        case com.quit:
          answered = false
          this.#client.close()
          break
        default:
          await this.#rare(c)
      }
    } catch (error) {
      // Others wait for its locks: before the client is told, which may think about it.
      if (isGivenUp(this.#relayer.stopped) && this.#isOurs(error)) await this.#runner.rollback()
      this.#fail(error)
      // The account is gone, or takes TLS only.
      if (isSwError(error, 'SW-GATE-030') || isSwError(error, 'SW-GATE-031')) this.#client.close()
    }
    this.#noted()
    this.#current = null
    this.#sinceMs = this.#core.clock.monotonicMs()
    this.#infile = null
    if (this.#closed) {
      await this.#giveBack()
      return
    }
    this.#over()
    if (this.#draining && !this.#open) this.#leave(gateErrors.draining())
    else if (answered) this.#client.ready()
  }

  async #stopped(): Promise<void> {
    await this.#stopping
    this.#stopping = null
  }

  /** The statement is over. */
  #noted(): void {
    if (this.#guard.on) this.#guard.end()
    this.#relayer.stopped = null
    this.#client.rewrite = null
    const { figures } = this.#runner
    if (figures.failed) this.#runner.affectedRows = -1n
    // What has no shape of its own (PREPARE, a text that can't be cut) leaves nothing to the next one that has.
    if (this.#shape !== null) this.#core.shapes.note(this.keyspace, this.#shape, this.#core.clock.monotonicMs() - this.#sinceMs, figures)
    figures.rows = 0
    figures.shards = 0
    figures.failed = false
  }

  async #rare(c: ClientCommand): Promise<void> {
    const argument = c.data.subarray(c.start + 1, c.end)
    switch (c.com) {
      case com.ping:
        this.#own.ok()
        return
      case com.initDb:
        this.use(argument.toString('utf8'))
        this.#own.ok([{ kind: 'schema', name: this.keyspace }])
        return
      case com.stmtReset: {
        this.#prepared.reset(numberOf(c, 4))
        this.#own.ok()
        return
      }
      case com.resetConnection:
        await this.#reset()
        this.#adoptCharset()
        this.#own.ok()
        return
      case com.changeUser:
        await this.#reset()
        if (!(await this.#client.changeUser(c))) return
        try {
          this.#adopt()
        } catch (error) {
          // As at the greeting: of the user before nothing goes on.
          this.#fail(error, this.#client.sequence)
          this.#client.close()
          return
        }
        this.#client.sendOk({ status: this.#runner.status })
        return
      case com.statistics:
        this.#client.write(statistics(this.#core))
        return
      case com.processInfo:
        this.#client.write(this.#own.processList(false))
        return
      case com.processKill:
        await this.#own.kill('connection', numberOf(c, 4))
        return
      case com.setOption:
        this.#asksForSeveral = numberOf(c, 2) !== setOption.multiStatementsOff
        this.#client.write(eofFrame(this.#runner.status))
        return
      case com.fieldList:
        if (this.#access.restricted) this.#access.use(this.keyspace)
        await this.#relay(this.keyspace, c.framed(), { effect: 'read', rereadable: true })
        return
      default:
        throw gateErrors.notForwarded({
          construct: `command 0x${c.com.toString(16)}`,
          reason: 'it concerns one server, not a keyspace',
          fix: 'connect to the server itself',
        })
    }
  }

  use(name: string): void {
    this.keyspace = this.#keyspaceNamed(name, this.keyspace)
  }

  /** Who may not see a keyspace is not told whether it is there. */
  #keyspaceNamed(name: string, session = ''): string {
    this.#access.use(name.startsWith('@') ? session : name)
    return this.#core.keyspaceNamed(name, session)
  }

  async #reset(): Promise<void> {
    await this.#runner.end()
    this.#runner.settings.clear()
    this.#runner.nextTransaction = []
    this.#sharded.variables.clear()
    this.#runner.lastInsertId = 0n
    this.#runner.affectedRows = -1n
    this.#runner.connections.said = null
    this.#prepared.clear()
  }

  /** For SHOW PROCESSLIST: the text is only cut out when somebody asks. */
  get doing(): { command: string; sinceMs: number; text: string } {
    const data = this.#current
    if (data === null) return { command: 'Sleep', sinceMs: this.#sinceMs, text: '' }
    const from = this.#currentStart + 1
    return { command: 'Query', sinceMs: this.#sinceMs, text: data.toString('utf8', from, Math.min(data.length, from + 200)) }
  }

  get #open(): boolean {
    return this.#runner.transaction !== null || this.#runner.connections.keepsWork
  }

  /** A prepared statement that the gate answers itself. */
  async #executed(text: Buffer): Promise<void> {
    this.#own.form = 'binary'
    try {
      const lexed = lexStatement(text, modeOf(this.#runner.settings))
      const passthrough = classifyCached(lexed)
      if (passthrough.kind === 'relay' && passthrough.needsPrevious === 'diagnostics') await this.#own.diagnostics(lexed)
      else await this.#query(text, null)
    } finally {
      this.#own.form = 'text'
    }
  }

  passOn(sql: Buffer, keyspace = this.keyspace): Promise<unknown> {
    return this.#relay(keyspace, framedQuery(sql), { effect: 'read', rereadable: false })
  }

  /** What it knows that a server does not. */
  get values(): SessionValues {
    const { user, host, threadId, keyspace } = this
    const { count: warnings, errors } = this.#runner.connections.said ?? nothingSaid
    return { user, host, threadId, keyspace, affectedRows: this.#runner.affectedRows, warnings, errors }
  }

  // ── COM_QUERY ──

  /** Promises are few on the way of a statement that only passes through: each costs more than looking at the statement does. */
  #query(sql: Buffer, c: ClientCommand | null): Promise<unknown> {
    const lexed = lexStatement(sql, modeOf(this.#runner.settings))
    if (lexed.next >= 0) {
      const texts = statementsOf(sql, modeOf(this.#runner.settings))
      if (texts !== null) return this.#each(texts)
    }
    const passthrough = classifyCached(lexed)
    if (this.#leavesDiagnostics(passthrough))
      return leavingDiagnostics(this.#runner, () => {
        const again = lexStatement(sql, modeOf(this.#runner.settings))
        return this.#alone(classifyCached(again), again, sql, c)
      })
    return this.#alone(passthrough, lexed, sql, c)
  }

  #execute(c: ClientCommand): Promise<unknown> {
    const execute = (): Promise<unknown> => this.#prepared.execute(c, this.#abort.signal, (shape) => (this.#shape = shape))
    const relay = this.#runner.mayHaveSaid ? this.#prepared.relayedBy(c) : null
    return relay !== null && this.#leavesDiagnostics(relay) ? leavingDiagnostics(this.#runner, execute) : execute()
  }

  /** There may be some, and it leaves them. */
  #leavesDiagnostics(passthrough: Passthrough): boolean {
    const { mayHaveSaid, connections, transaction } = this.#runner
    if (!mayHaveSaid || !this.#core.isMariadb) return false
    const sharded = this.#core.watch.view.keyspaces.get(this.keyspace)?.record.sharded === true
    return leavesDiagnostics(passthrough, !sharded && (connections.pinned || transaction !== null))
  }

  /** One statement. */
  #alone(passthrough: Passthrough, lexed: Lexed, sql: Buffer, c: ClientCommand | null): Promise<unknown> {
    this.#shape = lexed.key
    const next = this.#runner.nextTransaction
    if (next.length > 0 && readsNoTable(lexed)) return this.#keepingNext(next, this.#classified(passthrough, lexed, sql, c))
    return this.#classified(passthrough, lexed, sql, c)
  }

  /** What SET TRANSACTION said of the next one is for the one that a table begins. */
  async #keepingNext(next: readonly string[], answered: Promise<unknown>): Promise<void> {
    await answered
    if (this.#runner.transaction === null) this.#runner.nextTransaction = next
  }

  #classified(passthrough: Passthrough, lexed: Lexed, sql: Buffer, c: ClientCommand | null): Promise<unknown> {
    if (this.#access.restricted) this.#access.judge(passthrough, () => lexed, this.keyspace)
    if (this.keyspace === '' && needsKeyspace(() => lexed, passthrough)) throw gateErrors.noKeyspace()
    if (passthrough.kind === 'set' && /\binformation_schema\b/i.test(lexed.key)) requireAlike(this.#core, this.#access, this.keyspace)
    if (passthrough.kind !== 'relay') return this.#own.run(passthrough, lexed, sql)
    if (passthrough.implicitCommit) {
      const ddl = ddlOf(this.#core, this.keyspace, lexed)
      return afterCommit(this.#core, this.#runner, ddl, () => this.#forServers(passthrough, sql, c))
    }
    if (passthrough.usedLocks) {
      const home = homeOfLocks(this.#core.watch.view)
      if (home !== null) return this.#usedLocks(home, sql)
    }
    if (asksSchemata(passthrough, () => lexed)) return this.#schemata(passthrough, sql, c)
    return this.#forServers(passthrough, sql, c)
  }

  /** With the numbers of sessions for IS_USED_LOCK(). */
  async #usedLocks(home: string, sql: Buffer): Promise<unknown> {
    const text = Buffer.from(sql)
    const calls = await usedLocks(this.#core, this.#runner, home, text, this.#abort.signal)
    return await this.#query(withValues(text, lexStatement(text, modeOf(this.#runner.settings)), calls, this.values), null)
  }

  /** What it asks information_schema is about a keyspace, under that one's name. */
  async #schemata(relay: Relay, sql: Buffer, c: ClientCommand | null): Promise<unknown> {
    const asking = { core: this.#core, runner: this.#runner, access: this.#access, values: this.values, isPrepared: false }
    const asked = await askedSchemata(asking, relay, sql, this.#abort.signal)
    if (asked === null) return await this.#forServers(relay, sql, c)
    this.tellOrigins(asked.origins)
    const told = relayed(lexStatement(asked.sql, modeOf(this.#runner.settings)))
    if (told === null || asked.keyspace === null) return await this.#forServers(told ?? relay, asked.sql, null)
    if (this.#core.keyspace(asked.keyspace).record.sharded)
      return await this.#sharded.query(asked.keyspace, asked.sql, this.#abort.signal, null)
    return await this.#relay(asked.keyspace, framedQuery(asked.sql), told)
  }

  /** Of the answer that comes next: where its columns are from. */
  tellOrigins(origins: DefinitionChange | null): void {
    if (origins === null) return
    const { rewrite } = this.#client
    const changed = new ChangedDefinitions(origins)
    this.#client.rewrite = (frames) => (rewrite === null ? changed.rewrite(frames) : rewrite(changed.rewrite(frames)))
  }

  /** One after the other, up to the first that fails. Errors: SW-GATE-037 none was run. */
  async #each(texts: readonly Buffer[]): Promise<void> {
    requireSeveral(texts, this.#asksForSeveral, this.#guard)
    const answers = new SeveralAnswers()
    this.#client.rewrite = (frames) => answers.rewrite(frames)
    for (const [i, text] of texts.entries()) {
      if (this.#abort.signal.aborted) throw this.#abort.signal.reason as Error
      answers.next(i === texts.length - 1)
      await this.#query(text, null)
      if (answers.failed) return
    }
  }

  #forServers(relay: Relay, sql: Buffer, c: ClientCommand | null): Promise<unknown> {
    const keyspace = this.keyspace === '' ? this.#core.anyKeyspace() : this.#core.watch.view.keyspaces.get(this.keyspace)
    if (relay.accounts) refuseOwnAccountsOf(keyspace, lexStatement(sql, modeOf(this.#runner.settings)), modeOf(this.#runner.settings))
    if (keyspace?.record.sharded === true) {
      if (relay.needsPrevious === 'diagnostics') return this.#diagnostics(relay, sql)
      const lex = (): Lexed => lexStatement(sql, modeOf(this.#runner.settings))
      if (!relay.locks || lockHome(this.#core.watch.view, keyspace.name, relay, lex) === null)
        return this.#sharded.query(keyspace.name, sql, this.#abort.signal, c)
    }
    if (keyspace === undefined && this.keyspace === '') throw gateErrors.noKeyspace()
    return this.#passThrough(keyspace?.name ?? this.keyspace, relay, () => c?.framed() ?? framedQuery(sql), sql)
  }

  /** Of the statement before, wherever it ran. */
  #diagnostics(relay: Relay, sql: Buffer): Promise<unknown> {
    const counts = relay.sessionCalls.filter(isOfDiagnostics)
    return counts.length === 0 ? this.#own.takenDiagnostics(sql) : this.#withCounts(counts, sql)
  }

  /** `@@warning_count` over shards: known of the statement before, wherever it ran. */
  async #withCounts(counts: readonly SessionCall[], sql: Buffer): Promise<unknown> {
    await takeDiagnostics(this.#runner)
    return this.#query(withValues(sql, lexStatement(sql, modeOf(this.#runner.settings)), counts, this.values), null)
  }

  /** A session in a sharded keyspace names tables of an unsharded one. */
  async #onOneServer(keyspace: string, sql: Buffer): Promise<void> {
    const relay = relayed(lexStatement(sql, modeOf(this.#runner.settings)))
    const named = relay === null ? null : this.#targetOf(relay, sql)
    if (relay === null || named?.keyspace !== keyspace) throw notNamed(keyspace)
    await this.#passTo(named, keyspace, relay, () => framedQuery(sql), sql)
  }

  #targetOf(relay: Relay, sql: Buffer): Qualified | null {
    const { settings, connections } = this.#runner
    return relay.plain ? null : targetOf(this.#core, this.keyspace, connections, relay, () => lexStatement(sql, modeOf(settings)), sql)
  }

  #passThrough(keyspace: string, relay: Relay, framed: () => Buffer, sql: Buffer): Promise<unknown> {
    const elsewhere = this.#targetOf(relay, sql)
    return this.#passTo(elsewhere, elsewhere?.keyspace ?? keyspace, relay, framed, sql)
  }

  #passTo(elsewhere: Qualified | null, target: string, relay: Relay, framed: () => Buffer, sql: Buffer): Promise<unknown> {
    const runner = this.#runner
    const lex = (): Lexed => lexStatement(sql, modeOf(runner.settings))
    const view = this.#core.watch.view.keyspaces.get(target)
    const nothingLeft = runner.leftNothing
    const asksElsewhere = relay.needsPrevious != null && runner.ranElsewhere(view)
    const elsewhereNamed = relay.sessionCalls.length === 0 && view?.shards[0] !== undefined && toldInKeyspace(view.shards[0]) !== null
    if (relay.needsPrevious === 'diagnostics' && (asksElsewhere || elsewhereNamed || runner.connections.leaving))
      return this.#diagnostics(relay, sql)
    if (relay.sessionCalls.length > 0) {
      const renamed = (target !== this.keyspace || view?.shards[0]?.schema !== target) && !namesSystem(relay, lex())
      const known = nothingLeft || runner.connections.said !== null
      const calls = relay.sessionCalls.filter((call) => (call.what === 'database' ? renamed : !isOfDiagnostics(call) || known))
      if (calls.length > 0) return this.#query(withValues(sql, lex(), calls, this.values), null)
    }
    if (relay.needsPrevious === 'diagnostics' && relay.sessionCalls.length === 0 && (nothingLeft || runner.connections.said !== null))
      return this.#own.diagnostics(lex())
    if (relay.needsPrevious === 'found-rows' && (nothingLeft || asksElsewhere)) throw notTheFoundRows()
    // What the gate knows of it is of a statement that no connection has seen.
    if (relay.needsPrevious === 'conditions' && (nothingLeft || asksElsewhere || runner.connections.said !== null)) throw notTheConditions()
    const free = !runner.connections.pinned && runner.transaction === null
    if (free && view !== undefined && showsDatabase(view, sql)) return this.#sharded.query(target, sql, this.#abort.signal, null)
    if (elsewhere !== null && view?.record.sharded === true) return this.#sharded.query(target, sql, this.#abort.signal, null)
    return this.#relay(target, elsewhere === null ? framed() : framedQuery(elsewhere.sql), relay)
  }

  #relay(keyspace: string, framed: Buffer, relay: Partial<Relay> & { effect: Relay['effect']; rereadable: boolean }): Promise<unknown> {
    const marks = marking(relay, this.#runner.connections)
    const request: Request = {
      keyspace,
      choose: firstShard,
      frame: marks === null ? () => framed : (backend) => (marks.before(backend), framed),
      bytes: framed.length,
      effect: relay.effect,
      rereadable: relay.rereadable,
      onlyLocks: relay.onlyLocks === true,
      pins: relay.pins ?? emptyPins,
      lastInsertId: relay.lastInsertId === true,
      needsPrevious: relay.needsPrevious != null,
      keepAtHand: relay.leavesFoundRows === true || relay.needsPrevious != null || marks !== null,
      outside: relay.implicitCommit === true,
      whole: relay.whole !== false,
      readsVariables: relay.readsVariables === true,
      setsInsertId: relay.setsInsertId === true,
      mayGiveId: textMayGiveId,
    }
    const answered = this.#runner.relay(request, this.#abort.signal)
    if (relay.unread === true) return this.#unread(answered)
    return marks === null ? answered : marks.after(answered)
  }

  /** What no server could read has left nothing: its connection is free again. */
  async #unread(answered: Promise<RelayEnd>): Promise<void> {
    const { connections } = this.#runner
    const had = connections.keyspacesWith('server-state').length > 0
    const end = await answered
    if (!had && end.kind === 'error' && end.errno === errno.parse) connections.unpin(this.#runner.transaction, 'server-state')
  }
}

function isStatement(command: number): boolean {
  return command === com.query || command === com.stmtExecute || command === com.stmtPrepare
}

/** What stands behind the command byte: an id, an option. */
function numberOf(c: ClientCommand, bytes: 2 | 4): number {
  if (c.end - c.start < bytes + 1) throw wireErrors.malformed({ detail: `command 0x${c.com.toString(16)} is too short` })
  return c.data.readUIntLE(c.start + 1, bytes)
}
