/**
 * What an expression of a session in a sharded keyspace is (`SET @a = …`): as the session knows it, as a shard computes it, or, where it names tables, as the client itself
 * would be answered: over all shards, in its transaction, within its limits.
 */
import type { Lexed } from '../sql/lexer.ts'
import { parse } from '../sql/parse.ts'
import type { Value } from '../sql/value.ts'
import { walkExpr } from '../sql/walk.ts'
import { columnType } from '../wire/column-types.ts'
import { CapturedAnswer } from './captured-answer.ts'
import { valueOfAnswer } from './evaluate.ts'
import { noExecution, type SessionContext } from './execution.ts'
import { onServer } from './on-server.ts'
import { planErrors } from './plan/errors.ts'
import type { Plan } from './plan/plan.ts'
import { slotValue } from './plan/render.ts'
import { renderForPrepare } from './prepare-text.ts'

type Asked = {
  readonly keyspace: string
  readonly expression: string
  readonly signal: AbortSignal
  plan(sql: Buffer): Promise<Plan>
  /** Answers the client. */
  query(sql: Buffer): Promise<void>
}

export async function sessionValue(context: SessionContext, { keyspace, expression, signal, plan: planOf, query }: Asked): Promise<Value> {
  const { core, runner, client } = context
  const sql = Buffer.from(`SELECT ${expression}`)
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
    const captured = new CapturedAnswer()
    const before = client.rewrite
    client.rewrite = captured.take
    try {
      // With a LIMIT of its own: sql_select_limit does not count for it.
      await query(Buffer.from(`SELECT ${expression} LIMIT 1`))
    } finally {
      client.rewrite = before
    }
    const answer = captured.rows(client.extendedMetadata)
    if (answer.columns[0]?.type === columnType.newdecimal && hidesDigits(context.lex(sql)))
      throw planErrors.refused({
        construct: 'setting a variable to an average or a quotient over a sharded table',
        reason: 'a server keeps more digits of it than it tells',
        instead: 'round it: SET @a = (SELECT ROUND(AVG(…), 4) FROM …)',
      })
    return valueOfAnswer(answer)
  }
  const hides = hidesDigits(context.lex(sql))
  return await onServer(core, runner, keyspace, signal, async (backend, shard) => {
    const text = whole.whole === null ? sql : renderForPrepare(context, context.lex(sql), whole, whole.whole, shard)
    if (!hides) return valueOfAnswer(await backend.connection.query(text))
    // Its own variable holds what is not told; nobody else finds it there.
    backend.dirty = true
    await backend.connection.query(Buffer.concat([Buffer.from('SET @_sw_value = ('), text, Buffer.from(')')]))
    return valueOfAnswer(await backend.connection.query('SELECT @_sw_value'))
  })
}

/** Quotients and averages of decimals are computed to whole groups of digits, and shown with fewer. */
function hidesDigits(lexed: Lexed): boolean {
  const statement = parse(lexed)
  let hides = false
  for (const { expr } of statement.kind === 'query' && statement.query.kind === 'select' ? statement.query.items : [])
    walkExpr(expr, {
      expr(node) {
        if ((node.kind === 'call' && cut.has(node.name)) || (node.kind === 'other' && cut.has(node.construct))) return false
        hides ||= (node.kind === 'binary' && node.operator === '/') || (node.kind === 'call' && node.name === 'AVG')
        return !hides
      },
    })
  return hides
}
const cut = new Set(['ROUND', 'TRUNCATE', 'CAST', 'CONVERT', 'FORMAT'])
