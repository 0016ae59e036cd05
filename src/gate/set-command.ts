/** SET of a session: what it keeps, what a server must judge or compute first, and what goes to a server as it is. */
import { isSwError } from '../base/errors.ts'
import { Kind, tokenEnd, tokenKind, tokenStart, type Lexed } from '../sql/lexer.ts'
import { parse } from '../sql/parse.ts'
import type { Value } from '../sql/value.ts'
import { walkExpr } from '../sql/walk.ts'
import { inRoleOf } from '../topology/replica-name.ts'
import type { Backend } from './backend.ts'
import type { Core } from './core.ts'
import { gateErrors } from './errors.ts'
import { onServer } from './on-server.ts'
import { valueOfAnswer } from './evaluate.ts'
import { askedCells, askedOfText, keepInSettings, keptText, lostText, setVariables } from './kept-values.ts'
import { literalOf } from './plan/render.ts'
import type { Pin } from './plan/plan.ts'
import { rereadable } from './pure-functions.ts'
import { framedQuery } from './replies.ts'
import { firstShard } from './request.ts'
import type { Runner } from './runner.ts'
import { refuseOtherLetters } from './session-charset.ts'
import { effectOfSet, toCompute } from './session-set.ts'
import { lexStatement, modeOf } from './statement-text.ts'
import { Words } from './statement-words.ts'
import { ServerError } from '../mysql/errors.ts'
import { setsOfAccount, type SetAssignments, type SetOne } from './set-statement.ts'
import type { SessionSettings } from './settings.ts'
import type { Sharded } from './sharded.ts'
import { refuseOtherSpelling } from './variable-names.ts'
import type { View } from './view.ts'

export type Setting = {
  readonly core: Core
  readonly runner: Runner
  readonly sharded: Sharded
  readonly keyspace: string
  readonly signal: AbortSignal
}

/** True: it is in force, the OK is the caller's. False: the client has the server's error already. Errors: values that no server takes. */
export async function setSession(s: Setting, assignments: SetAssignments, lexed: Lexed, sql: Buffer): Promise<boolean> {
  const { core, runner } = s
  const keyspace = s.keyspace === '' ? core.anyKeyspace() : core.keyspace(s.keyspace)
  if (assignments === null) {
    if (keyspace === undefined) throw gateErrors.noKeyspace()
    if (keyspace.record.sharded)
      throw gateErrors.notForwarded({
        construct: 'a SET that the gate does not read',
        reason: 'it would be in force on one shard, and the keyspace stands on several',
        fix: 'set variables by their names, or USE an unsharded keyspace for it',
      })
    if (setsOfAccount(lexed))
      throw gateErrors.notForwarded({
        construct: "a password or default role of the server's account among other SETs",
        reason: 'whose it is can not be told, and the account of the gate must keep what it has',
        fix: "name the account in a statement of its own: SET PASSWORD FOR …; clients' own accounts are the gate's (`shardwright user`)",
      })
    return await pass(s, keyspace.name, sql, ['unknown'])
  }
  if (keyspace?.record.sharded === false && new Words(lexed).has('SELECT')) refuseOthers(core.watch.view, s.keyspace, lexed)
  const computed = new Map<number, string>()
  for (const { at, expression } of toCompute(lexed, assignments)) {
    if (keyspace === undefined) throw gateErrors.noKeyspace()
    const exact = keyspace.record.sharded
      ? await s.sharded.evaluate(keyspace.name, expression, s.signal)
      : await evaluate(s, keyspace.name, expression)
    const value = exact.type === 'kept' ? exact.shown : exact
    computed.set(at, value.type === 'text' || value.type === 'binary' ? literalOf(value).toString('utf8') : plainText(value))
  }
  // SET CHARACTER SET gives the connection what the database has now, whatever USE chooses later.
  let ofDatabase: string | undefined
  if (keyspace !== undefined && assignments.some(({ target }) => target.kind === 'character-set')) {
    const asked = await evaluate(s, keyspace.name, '@@collation_database')
    if (asked.type === 'text') ofDatabase = asked.bytes.toString('latin1')
  }
  const toServersMode = setsServersMode(lexStatement(sql, modeOf(runner.settings)), assignments)
  // Others have lexed while servers were asked.
  const effect = effectOfSet(lexStatement(sql, modeOf(runner.settings)), assignments, runner.settings, computed, ofDatabase)
  if (effect.next.length > 0 && (runner.transaction?.explicit === true || (runner.transaction?.branches.size ?? 0) > 0))
    throw new ServerError(1568, '25001', "Transaction characteristics can't be changed while a transaction is in progress")
  if (effect.pass !== 'no' && keyspace === undefined) throw gateErrors.noKeyspace()
  const [ofOne] = effect.ofOne
  if (ofOne !== undefined && keyspace?.record.sharded === true)
    throw gateErrors.notForwarded({
      construct: ofOne,
      reason: 'the keyspace stands on several servers',
      fix: 'connect to the servers themselves',
    })
  if (effect.autocommitOn && !runner.settings.autocommit) await runner.commit()
  const set = new Map<string, Value>()
  if (effect.pass !== 'no' && keyspace?.record.sharded === true) {
    // Over several shards the session keeps them, and texts that go to shards carry their values.
    // All are computed before any is set, as a server does.
    if (effect.variables.length > 0) refuseOtherLetters(lexStatement(sql, modeOf(runner.settings)), runner.settings)
    const values: Value[] = []
    for (const { expression } of effect.variables) values.push(await s.sharded.evaluate(keyspace.name, expression, s.signal))
    for (const [i, { name }] of effect.variables.entries()) {
      if (runner.connections.variablesOn === null) refuseOtherSpelling(name, [...runner.connections.variables.keys(), ...set.keys()])
      set.set(name, values[i] as Value)
    }
  }
  // Those that were set before are as they were in any case.
  const changed = readChange(runner.settings, effect.settings)
  if (keyspace !== undefined && changed !== 'none') {
    await keepTexts(s, keyspace.name, s.sharded.variables, changed, runner.settings, effect.settings)
    await keepTexts(s, keyspace.name, set, changed, effect.settings)
  }
  for (const [name, value] of set) keepInSettings(effect.settings, name, value)
  const changes = effect.settings.signature !== runner.settings.signature
  if (effect.pass !== 'no' && keyspace !== undefined && !keyspace.record.sharded) {
    if (effect.variables.length > 0) runner.connections.requireVariables(keyspace.name)
    // With session variables beside it, its connection is no longer what its signature says unless it stays here.
    const pins: readonly Pin[] = effect.pass === 'pin' || changes || toServersMode ? ['user-variable'] : []
    const done = await pass(s, keyspace.name, sql, pins)
    if (done && (changes || toServersMode)) {
      // What the connection has now.
      effect.settings.forgetVariables()
      adopt(runner.settings, effect.settings)
      const has = runner.settings.copy()
      if (toServersMode) has.set('sql_mode', '@@global.sql_mode')
      runner.connections.pinnedHas(keyspace.name, has.signature)
    }
    if (done) keepNext(runner, effect.next)
    if (done && effect.setsInsertId) runner.insertIdOn = keyspace.name
    return done
  }
  keepNext(runner, effect.next)
  if (changes) await tryOut(s, effect.settings)
  const home = runner.connections.variablesOn
  if (home !== null && set.size > 0) {
    runner.connections.requireVariables(home)
    await runner.connections.askPinned(home, setVariables(set, modeOf(runner.settings)), runner.transaction)
  }
  for (const [name, value] of set) s.sharded.variables.set(name, value)
  return true
}

/** A text stays what it was when it was set, whatever the connection's character set becomes: asked while that is still what it was. */
async function keepTexts(
  s: Setting,
  keyspace: string,
  variables: Map<string, Value>,
  changed: ReadChange,
  ...told: readonly SessionSettings[]
): Promise<void> {
  const texts: { name: string; value: Extract<Value, { type: 'text' }> }[] = []
  const keep = (name: string, value: Value): void => {
    for (const settings of told) keepInSettings(settings, name, value)
    variables.set(name, value)
  }
  // Who sets names says nothing of what can't be kept: whoever uses it is told.
  let left = askedBytesMax
  for (const [name, value] of variables) {
    if (value.type !== 'text' || (changed === 'other-than-ascii' && value.bytes.every((byte) => byte < 0x80))) continue
    if (value.bytes.length > left) keep(name, lostText(value))
    else {
      left -= value.bytes.length
      texts.push({ name, value })
    }
  }
  if (texts.length === 0) return
  const asked = texts.map(({ value }) => askedOfText(literalOf(value, modeOf(s.runner.settings)).toString('latin1')))
  const sql = Buffer.from(`SELECT ${asked.join(', ')}`, 'latin1')
  const result = await onServer(s.core, s.runner, keyspace, s.signal, async ({ connection }) => await connection.query(sql))
  const row = result.kind === 'rows' ? (result.rows[0] ?? []) : []
  for (const [i, { name, value }] of texts.entries())
    try {
      keep(name, keptText(row.slice(askedCells * i, askedCells * (i + 1)), value))
    } catch (error) {
      if (!isSwError(error, 'SW-GATE-100')) throw error
      keep(name, lostText(value))
    }
}

/** More than is kept, and little enough for a statement. */
const askedBytesMax = 1024 * 1024

/** Which texts would be others as literals: of ASCII is what the connection's collation is, and nothing else. */
type ReadChange = 'none' | 'other-than-ascii' | 'all'

function readChange(before: SessionSettings, after: SessionSettings): ReadChange {
  const [a, b] = [readings(before), readings(after)]
  if (a.connection !== b.connection) return 'all'
  return a.client === b.client && a.results === b.results ? 'none' : 'other-than-ascii'
}

/** A new connection has what NAMES utf8mb4 gives it. */
function readings(settings: SessionSettings): { readonly connection: string; readonly client: string; readonly results: string } {
  const of = (name: string): string | undefined => settings.get(name)?.replace(/['"`]/g, '').toLowerCase()
  const names = of('names') ?? 'utf8mb4'
  const charset = names.split(/\s/)[0] as string
  const own = [of('character_set_connection'), of('collation_connection')]
  return {
    connection: own.some((one) => one !== undefined) ? own.join() : names,
    client: of('character_set_client') ?? charset,
    results: of('character_set_results') ?? charset,
  }
}

/** What the text names goes to the session's own server as it is: tables of other keyspaces, and of one whose database is called otherwise, are not meant by it there. */
function refuseOthers(view: View, session: string, lexed: Lexed): void {
  let statement
  try {
    statement = parse(lexed)
  } catch {
    // The server's to say.
    return
  }
  for (const item of statement.kind === 'set' ? statement.items : []) {
    if (!('value' in item)) continue
    walkExpr(item.value, {
      table({ table: { schema } }) {
        const named = schema === null ? undefined : view.keyspaces.get(inRoleOf(schema.text, session))
        if (named === undefined || (named.name === session && named.shards[0]?.schema === session)) return
        throw gateErrors.notForwarded({
          construct: `SET to what a table of ${schema?.text} says`,
          reason: 'the variable is on the server of the session, the table may be on another',
          fix: named.name === session ? "leave the keyspace's name out" : 'USE that keyspace, or read the value by a SELECT and set it',
        })
      },
    })
  }
}

/** `sql_mode = DEFAULT`: the server's own, which sessions are read by only if it was so when the gate asked for it. */
function setsServersMode(lexed: Lexed, assignments: readonly SetOne[]): boolean {
  return assignments.some(
    ({ target, from, to }) =>
      target.kind === 'system' &&
      target.scope !== 'global' &&
      target.name === 'sql_mode' &&
      from < to &&
      /^DEFAULT$/i.test(lexed.bytes.toString('latin1', tokenStart(lexed, from), tokenEnd(lexed, to - 1))),
  )
}

function keepNext(runner: Runner, next: readonly string[]): void {
  if (next.length > 0) runner.nextTransaction = [...runner.nextTransaction, ...next]
}

function plainText(value: Value): string {
  return value.type === 'null' ? 'NULL' : literalOf(value).toString('utf8').trim()
}

/** As it is, on a connection that the session keeps. */
async function pass(s: Setting, keyspace: string, sql: Buffer, pins: readonly Pin[]): Promise<boolean> {
  const framed = framedQuery(sql)
  return await s.runner.perform(
    {
      keyspace,
      choose: firstShard,
      frame: () => framed,
      bytes: framed.length,
      effect: 'read',
      rereadable: false,
      pins,
      lastInsertId: false,
      needsPrevious: false,
      keepAtHand: false,
      outside: false,
      whole: true,
    },
    s.signal,
  )
}

async function evaluate(s: Setting, keyspace: string, expression: string): Promise<Value> {
  const sql = Buffer.from(`SELECT ${expression}`, 'latin1')
  const lexed = lexStatement(sql, modeOf(s.runner.settings))
  const again = rereadable(lexed)
  const act = async (backend: Backend): Promise<Value> => {
    const { variables, variablesOn } = s.runner.connections
    // It may call a stored function, a view's too, which may leave something; `SET sql_mode = CONCAT(@@sql_mode, …)`, with which sessions begin, does not, and costs no connection.
    backend.dirty ||= !again || variables.size > 0 || mayLeave(lexed)
    if (variables.size > 0 && variablesOn === null) await backend.connection.query(setVariables(variables, modeOf(s.runner.settings)))
    return valueOfAnswer(await backend.connection.query(sql))
  }
  return await s.runner.settings.showingText(() => onServer(s.core, s.runner, keyspace, s.signal, act, { again }))
}

/** Besides by functions: variables that it sets, views that it reads. */
function mayLeave(lexed: Lexed): boolean {
  const words = new Words(lexed)
  for (let i = 0; i < lexed.count; i++)
    if (tokenKind(lexed, i) === Kind.UserVariable || words.at(i) === 'FROM' || words.at(i) === 'TABLE') return true
  return false
}

/** Settings are in force once a server has taken them: its error is the client's answer. */
async function tryOut(s: Setting, settings: SessionSettings): Promise<void> {
  const { core, runner } = s
  const keyspace = s.keyspace === '' ? core.anyKeyspace() : core.keyspace(s.keyspace)
  const shard = keyspace?.shards[0]
  const before = runner.settings.copy()
  adopt(runner.settings, settings)
  if (shard === undefined) return
  if (core.pools.accepted(shard, runner.connections.agreed, settings.signature)) return
  let backend
  try {
    backend = await runner.connections.take(shard, settings.signature)
  } catch {
    // Nobody to ask now: it is tried when a connection is brought to it.
    return
  }
  try {
    await runner.connections.bringToSettings(backend, settings.signature)
    backend.pool.give(backend)
  } catch (error) {
    adopt(runner.settings, before)
    throw error
  }
}

function adopt(target: SessionSettings, source: SessionSettings): void {
  target.clear()
  for (const name of source.names) target.set(name, source.get(name))
}
