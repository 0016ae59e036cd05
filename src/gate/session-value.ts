/**
 * What an expression of a session in a sharded keyspace is (`SET @a = …`): as the session knows it, as a shard computes it, or, where it names tables, as the client itself
 * would be answered: over all shards, in its transaction, within its limits.
 */
import type { Value } from '../sql/value.ts'
import { CapturedAnswer } from './captured-answer.ts'
import { valueOfAnswer } from './evaluate.ts'
import { noExecution, type SessionContext } from './execution.ts'
import { onServer } from './on-server.ts'
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
  if (whole.sharded && whole.tables.length > 0) {
    const captured = new CapturedAnswer()
    const before = client.rewrite
    client.rewrite = captured.take
    try {
      // With a LIMIT of its own: sql_select_limit does not count for it.
      await query(Buffer.from(`SELECT ${expression} LIMIT 1`))
    } finally {
      client.rewrite = before
    }
    return valueOfAnswer(captured.rows(client.extendedMetadata))
  }
  return await onServer(core, runner, keyspace, signal, async (backend, shard) => {
    const text = whole.whole === null ? sql : renderForPrepare(context, context.lex(sql), whole, whole.whole, shard)
    return valueOfAnswer(await backend.connection.query(text))
  })
}
