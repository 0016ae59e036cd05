/** One execution of a gathered statement: every text that it needs, made while the client's statement is still in the lexer. */
import type { ColumnInfo } from './plan/catalog.ts'
import type { GatherPlan, GatherStep } from './plan/gather-types.ts'
import type { Piece, RouteInputs } from './plan/plan.ts'
import { Rendering } from './plan/render.ts'
import { limitOf, shardsOf } from './plan/route.ts'
import { notUtf8 } from './session-charset.ts'
import type { SessionSettings } from './settings.ts'
import { hasMode } from './sql-mode.ts'
import type { ShardView } from './view.ts'
import { gateErrors } from './errors.ts'

/** A step with its texts: made at once, as the client's statement is in a buffer that others use next. */
export type Step = {
  readonly plan: GatherStep
  readonly name: string
  readonly filters: readonly { readonly text: Buffer }[]
  readonly shards: readonly ShardView[]
  /** Later steps want the values of these columns. */
  readonly wanted: ReadonlyMap<string, Values>
  readonly reductions: readonly { readonly column: ColumnInfo; readonly values: Values }[]
}

/** Distinct values of a column by their literals; null: more than are worth naming. */
export type Values = { found: Map<string, Buffer> | null }

export type GatherJob = {
  readonly steps: readonly Step[]
  readonly text: Buffer
  /** Of a prepared statement: the numbers of its parameters that are left in the text. */
  readonly parameters: readonly number[] | undefined
  /** What stands before and after the rows or keys of a write. */
  readonly before: Buffer
  readonly after: Buffer
  /** The parameters of these two. */
  readonly around: readonly number[]
  /** How many rows a change may change at most; null: any number. */
  readonly limit: bigint | null
  readonly lock: '' | ' FOR UPDATE' | ' LOCK IN SHARE MODE'
}

/** @param inline puts the client's parameters in a text's `?`, of the numbers given */
export function gatherJob(
  plan: GatherPlan,
  inputs: RouteInputs<ShardView>,
  inTransaction: boolean,
  form: 'text' | 'binary',
  inline: (text: Buffer, parameters: readonly number[]) => Buffer,
): GatherJob {
  const any = inputs.shards[0] as ShardView
  // Inlining reads a text in the place of the client's own: after everything has been rendered.
  const rendered: { text: Buffer; readonly parameters: readonly number[] }[] = []
  const render = (pieces: readonly Piece[], names: readonly string[]): (typeof rendered)[number] => {
    const rendering = new Rendering(inputs, any, null, [], names).add(pieces)
    const made = { text: Buffer.from(rendering.text()), parameters: rendering.parameters }
    rendered.push(made)
    return made
  }
  const skipped = (step: GatherStep): boolean => step.copied && !inTransaction
  const names = plan.steps.map((step, i) => (skipped(step) ? step.table : `_sw_${i + 1}`))
  const wanted = plan.steps.map(() => new Map<string, Values>())
  for (const step of plan.steps) for (const { step: of, of: column } of step.reductions) wanted[of]?.set(column.name, { found: new Map() })
  // What a table that is not fetched would have said of others stays unknown.
  plan.steps.forEach((step, i) => {
    if (skipped(step)) for (const values of (wanted[i] as Map<string, Values>).values()) values.found = null
  })
  const steps = plan.steps.flatMap((step, i): Step[] => {
    if (skipped(step)) return []
    return [
      {
        plan: step,
        name: names[i] as string,
        filters: step.filters.map((pieces) => render(pieces, names)),
        shards: shardsOf(step.destination, inputs),
        wanted: wanted[i] as Map<string, Values>,
        reductions: step.reductions.map((r) => ({ column: r.column, values: wanted[r.step]?.get(r.of.name) as Values })),
      },
    ]
  })
  const text = render(plan.text ?? [], names)
  const { use } = plan
  const before = render(use.kind === 'read' ? [] : use.before, names)
  const after = render(use.kind === 'read' ? [] : use.after, names)
  // The statement itself is executed as the client's is, and what comes of it; what is fetched is ours.
  for (const made of rendered)
    if (form === 'text' || (made !== text && made !== before && made !== after)) made.text = inline(made.text, made.parameters)
  return {
    steps,
    text: text.text,
    parameters: form === 'binary' ? text.parameters : undefined,
    before: before.text,
    after: after.text,
    around: form === 'binary' ? [...before.parameters, ...after.parameters] : [],
    limit: use.kind === 'chosen' ? limitOf(use.limit, inputs) : null,
    lock: inTransaction ? (plan.lock ?? '') : '',
  }
}

/** Settings under which fetched values would not be what they were. */
export function refuseSettings(settings: SessionSettings): void {
  const charset = notUtf8(settings, true)
  const refuse = (setting: string, fix: string): never => {
    throw gateErrors.gatherSetting({ setting, fix })
  }
  if (charset !== null) refuse(`the character set ${charset}`, 'SET NAMES utf8mb4')
  const results = settings.get('character_set_results')
  if (results !== undefined) refuse(`the character set of results ${results}`, 'SET NAMES utf8mb4')
  if (hasMode(settings, 'NO_BACKSLASH_ESCAPES')) refuse('sql_mode NO_BACKSLASH_ESCAPES', 'set another sql_mode')
}
