/**
 * MATCH … AGAINST over several shards. Its number is made of how often the words stand in *all* rows of a table (and by MyISAM and Aria, whether they are found at all), and each shard has that of its own rows alone.
 * What a row by itself decides is the same everywhere, and so is answered (both servers asked, sql-refused.db.test.ts and sharded.db.test.ts):
 *
 * - whether the row is found, as a truth in WHERE or ON: in boolean mode; in natural language mode by InnoDB, to whom each word found counts for more than 0.
 * - Of `<word` and `~word` in boolean mode InnoDB takes 1 away: a row that then comes to 0 is not found, and whether it does is again the matter of all rows.
 * - In natural language mode rows come with the greatest relevance first where no ORDER BY says otherwise.
 */
import type { Expr } from '../../sql/ast.ts'
import type { Analysis } from './analysis.ts'
import type { Refusal, RouteInputs, Slot } from './plan.ts'
import { slotValue } from './render.ts'
import { slotOf } from './slots.ts'

type Match = Analysis['matches'][number]

const reason = 'how relevant a row is depends on all rows, and each shard has its own alone'

/** Why the matches of a statement can't be answered by each shard for its own rows; null: they can. @param ordered whether an ORDER BY or groups say in which order its rows come, or none is asked for */
export function refusedMatch(analysis: Analysis, ordered: boolean): Refusal | null {
  const matches = analysis.matches.filter((one) => !isOfCopies(one))
  if (matches.length === 0) return null
  const truths = new Set(analysis.conjuncts.flatMap(({ expr }) => truthsOf(expr)))
  for (const one of matches) {
    const { construct, children } = one.match
    if (construct === 'MATCH EXPANSION')
      return {
        construct: 'WITH QUERY EXPANSION',
        reason,
        instead: 'search for the words that it would find, or restrict the statement to one shard',
      }
    if (!truths.has(one.match))
      return {
        construct: 'the relevance of MATCH … AGAINST',
        reason,
        instead: 'use it as a condition alone (WHERE MATCH … AGAINST (…)), or restrict the statement to one shard',
      }
    const against = children.at(-1)
    if (construct === 'MATCH BOOLEAN') {
      if (against === undefined || slotOf(against) === null)
        return { construct: 'MATCH … AGAINST an expression', reason: 'it is read before it is sent', instead: 'give a text or a parameter' }
      continue
    }
    if (!isInnodb(one))
      return {
        construct: 'MATCH … AGAINST in natural language mode of an engine without transactions',
        reason: 'words that stand in half of all rows are not looked for, and each shard has its own rows alone',
        instead: 'use IN BOOLEAN MODE, or restrict the statement to one shard',
      }
    if (one.scope === analysis.scope ? !ordered : analysis.limited)
      return {
        construct: 'MATCH … AGAINST in natural language mode without ORDER BY',
        reason: 'the most relevant rows come first, and ' + reason,
        instead: 'add an ORDER BY, use IN BOOLEAN MODE, or restrict the statement to one shard',
      }
  }
  return null
}

/** What is looked for in boolean mode, to be read by `lowers` where it goes to several shards. */
export function soughtInBooleanMode(analysis: Analysis): Slot[] {
  return analysis.matches.flatMap((one) => {
    const against = one.match.children.at(-1)
    const slot = one.match.construct !== 'MATCH BOOLEAN' || isOfCopies(one) || against === undefined ? null : slotOf(against)
    return slot === null ? [] : [slot]
  })
}

export const loweredWord: Refusal = {
  construct: '`<` or `~` in boolean mode of MATCH … AGAINST',
  reason: 'a row that comes to a relevance of 0 by it is not found, and ' + reason,
  instead: 'leave the word out, or restrict the statement to one shard',
}

/** Of what can't be read here, too. */
export function lowers<S>(slot: Slot, inputs: RouteInputs<S>): boolean {
  const value = slotValue(slot, inputs)
  if (value.type === 'double') return Number.isNaN(value.value)
  const bytes = value.type === 'kept' ? (value.text?.utf8 ?? null) : 'bytes' in value ? value.bytes : Buffer.alloc(0)
  return bytes === null || bytes.includes('<') || bytes.includes('~')
}

/** Every shard has all rows. */
function isOfCopies({ match, scope }: Match): boolean {
  return match.children.slice(0, -1).every((column) => column.kind === 'column' && scope.resolve(column)?.table.entry?.kind === 'reference')
}

function isInnodb({ match, scope }: Match): boolean {
  return match.children.slice(0, -1).every((column) => {
    const bound = column.kind === 'column' ? scope.resolve(column) : null
    return bound !== null && bound.table.columns?.engine == null
  })
}

/** The matches that are a condition, or what AND, OR and NOT make one of. */
function truthsOf(expr: Expr): Expr[] {
  switch (expr.kind) {
    case 'and':
    case 'or':
      return expr.items.flatMap(truthsOf)
    case 'group':
      return truthsOf(expr.inner)
    case 'unary':
      return expr.operator === 'NOT' || expr.operator === '!' ? truthsOf(expr.operand) : []
    case 'other':
      return [expr]
    default:
      return []
  }
}
