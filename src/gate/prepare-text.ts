import type { Lexed } from '../sql/lexer.ts'
import type { SessionContext } from './execution.ts'
import type { Piece, Plan, RouteInputs, Text } from './plan/plan.ts'
import { Rendering } from './plan/render.ts'
import { tablesOf } from './schema-names.ts'
import type { ShardView } from './view.ts'

/** A statement as one shard prepares it. Parameters keep their places: session values and the like are put in, `?` stay. */
export function renderForPrepare(context: SessionContext, lexed: Lexed, plan: Plan, whole: Text, shard: ShardView): Buffer {
  const inputs: RouteInputs<ShardView> = {
    lexed,
    parameters: [],
    text: 'utf8mb4',
    shards: [shard],
    shardOf: () => shard,
    schemaOf: (s) => s.schema,
    anyShard: () => shard,
    session: (ref) => context.session(ref),
    sequenceIds: [],
  }
  const rows = plan.kind === 'routed' && plan.insert !== null ? plan.insert.rows.map((row) => row.text.map(withoutId)) : []
  const text = whole === null ? Buffer.from(lexed.bytes) : new Rendering(inputs, shard, null, rows).add(whole).text()
  return plan.kind === 'show' && plan.what === 'TABLES' ? tablesOf(shard, context.lex(text)) : text
}

/** Where an id will be drawn stands a zero while the statement is only described. */
function withoutId(piece: Piece): Piece {
  return piece.kind === 'sequence-id' && piece.given === null ? { kind: 'text', text: '0' } : piece
}
