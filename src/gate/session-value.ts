/**
 * What an expression of a session in a sharded keyspace is (`SET @a = …`): as the session knows it, as a shard computes it, or, where it names tables, as the client itself
 * would be answered: over all shards, in its transaction, within its limits.
 */
import type { Result } from '../mysql/connection.ts'
import { Kind, type Lexed, tokenEnd, tokenKind, tokenStart } from '../sql/lexer.ts'
import { parse } from '../sql/parse.ts'
import type { Value } from '../sql/value.ts'
import { walkExpr } from '../sql/walk.ts'
import { columnType } from '../wire/column-types.ts'
import type { Backend } from './backend.ts'
import { CapturedAnswer } from './captured-answer.ts'
import { valueOfAnswer } from './evaluate.ts'
import { noExecution, type SessionContext } from './execution.ts'
import { askedOfText } from './kept-values.ts'
import { onServer } from './on-server.ts'
import { planErrors } from './plan/errors.ts'
import type { Plan } from './plan/plan.ts'
import { slotValue } from './plan/render.ts'
import { renderForPrepare } from './prepare-text.ts'
import { rereadable } from './pure-functions.ts'
import { literalsAreBytes } from './session-charset.ts'
import { asKept, textOn } from './user-variables.ts'
import type { ShardView } from './view.ts'

type Asked = {
  readonly keyspace: string
  /** A character is a byte. */
  readonly expression: string
  readonly signal: AbortSignal
  plan(sql: Buffer): Promise<Plan>
  /** Answers the client. */
  query(sql: Buffer): Promise<void>
}

export async function sessionValue(context: SessionContext, asked: Asked): Promise<Value> {
  return await context.runner.settings.showingText(() => answered(context, asked))
}

async function answered(context: SessionContext, { keyspace, expression, signal, plan: planOf, query }: Asked): Promise<Value> {
  const { core, runner, client } = context
  const sql = Buffer.from(`SELECT ${expression}`, 'latin1')
  const plan = await planOf(sql)
  if (plan.kind === 'local') {
    const lexed = context.lex(sql)
    const item = plan.items[0]?.value
    if (item !== undefined && (item.kind !== 'session' || item.ref.kind !== 'system-variable'))
      return slotValue(item, context.inputs(lexed, noExecution(keyspace, sql, signal), await core.ready(keyspace, signal)))
  }
  const whole = plan.kind === 'routed' ? plan : plan.kind === 'local' ? plan.otherwise : null
  if (whole === null) throw context.unsupported(`SET to ${expression}`)
  if (whole.tables.length > 0) {
    const asked = async (what: string): Promise<ReturnType<CapturedAnswer['rows']>> => {
      const captured = new CapturedAnswer()
      client.capture = captured
      try {
        // With a LIMIT of its own: sql_select_limit does not count for it.
        await query(Buffer.from(`SELECT ${what} LIMIT 1`, 'latin1'))
      } finally {
        client.capture = null
      }
      return captured.rows(client.extendedMetadata)
    }
    const again: typeof asked = async (what) => {
      if (rereadable(context.lex(sql))) return await asked(what)
      throw planErrors.refused({
        construct: 'setting a variable to a FLOAT, a BIT or text of a sharded table by a statement that calls a stored function',
        reason: 'it would be asked, and so called, a second time',
        instead: 'call the function in a SELECT, and set the variable to the value',
      })
    }
    const answer = await asked(expression)
    const type = answer.columns[0]?.type
    // A variable has all digits of it; and is the number that bits are, whatever they are sent as.
    if (type === columnType.bit) return valueOfAnswer(await again(`(${expression}) + 0`))
    if (type === columnType.float) return valueOfAnswer(await again(`(${expression}) + 0e0`))
    if (type === columnType.newdecimal && hidesDigits(context.lex(sql), runner.connections.variables))
      throw planErrors.refused({
        construct: 'setting a variable to an average or a quotient over a sharded table',
        reason: 'a server keeps more digits of it than it tells',
        instead: 'round it: SET @a = (SELECT ROUND(AVG(…), 4) FROM …)',
      })
    const value = valueOfAnswer(answer)
    if (value.type !== 'text' || temporal.has(type ?? -1)) return value
    // As text of the client's it would have the connection's collation, and be read in its character set. What is said of it is said of one text: rows may change in between.
    const all = await again(`${askedOfText('c')}, COLLATION(c) = COLLATION(''), c FROM (SELECT (${expression}) AS c LIMIT 1) _sw_text`)
    const [row] = all.rows
    const shown = valueOfAnswer({ kind: 'rows', columns: all.columns.slice(-1), rows: [row?.slice(-1) ?? [null]] })
    if (shown.type !== 'text') return shown
    return asKept(row, shown, runner.settings)
  }
  const lexed = context.lex(sql)
  // Where literals are bytes, no text is as they are.
  const [hides, collates] = [hidesDigits(lexed, runner.connections.variables), literalsAreBytes(runner.settings) || namesCollation(lexed)]
  const act = async (backend: Backend, shard: ShardView): Promise<Value> => {
    const text = whole.whole === null ? sql : renderForPrepare(context, context.lex(sql), whole, whole.whole, shard)
    if (!hides && !collates) return valueOfAnswer(await backend.connection.query(text))
    // Its own variable holds what is not told; nobody else finds it there.
    backend.dirty = true
    await backend.connection.query(Buffer.concat([Buffer.from('SET @_sw_value = ('), text, Buffer.from(')')]))
    const ask = (text: string): Promise<Result> => backend.connection.query(text)
    const value = valueOfAnswer(await ask('SELECT @_sw_value'))
    return collates && value.type === 'text' ? await textOn('@_sw_value', value, runner.settings, ask) : value
  }
  return await onServer(core, runner, keyspace, signal, act, { again: rereadable(lexed) })
}

/** Whether it says of what character set or collation a text is: COLLATE, CONVERT(… USING …), CAST(… CHARACTER SET …), _latin1'x', N'x'. */
function namesCollation(lexed: Lexed): boolean {
  for (let i = 0; i < lexed.count; i++) {
    if (tokenKind(lexed, i) === Kind.NationalString) return true
    if (tokenKind(lexed, i) !== Kind.Word) continue
    const word = lexed.bytes.toString('latin1', tokenStart(lexed, i), tokenEnd(lexed, i)).toUpperCase()
    if (collating.has(word) || (word.startsWith('_') && i + 1 < lexed.count && literals.has(tokenKind(lexed, i + 1)))) return true
  }
  return false
}
const collating = new Set(['COLLATE', 'USING', 'CHARACTER', 'CHARSET', 'ASCII', 'UNICODE'])
const literals = new Set<number>([Kind.String, Kind.Hex, Kind.Bit])

const temporal = new Set<number>([columnType.timestamp, columnType.date, columnType.time, columnType.datetime, columnType.newdate])

/** Quotients and averages of decimals are computed to whole groups of digits, and shown with fewer; what is computed of a variable's DECIMAL to its own digits, and shown with more. */
function hidesDigits(lexed: Lexed, variables: ReadonlyMap<string, Value>): boolean {
  const isDecimal = (name: string): boolean => {
    const value = variables.get(name.toLowerCase())
    return value?.type === 'kept' && value.shown.type === 'decimal'
  }
  const statement = parse(lexed)
  let hides = false
  for (const { expr } of statement.kind === 'query' && statement.query.kind === 'select' ? statement.query.items : [])
    walkExpr(expr, {
      expr(node) {
        if ((node.kind === 'call' && cut.has(node.name)) || (node.kind === 'other' && cut.has(node.construct))) return false
        // Of what is compared no digit is told.
        if (node.kind === 'in' || (node.kind === 'binary' && comparison.test(node.operator))) return false
        hides ||= (node.kind === 'binary' && node.operator === '/') || (node.kind === 'call' && node.name === 'AVG')
        hides ||= node.kind === 'user-variable' && isDecimal(node.name)
        return !hides
      },
    })
  return hides
}

const comparison = /^[<>=!]+$/
const cut = new Set(['ROUND', 'TRUNCATE', 'CAST', 'CONVERT', 'FORMAT'])
