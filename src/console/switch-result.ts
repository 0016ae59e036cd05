/** What a switch's result says, read with care: results belong to their verbs, and the contract leaves them open. */
export type SwitchResult = {
  readonly outcome: string
  readonly stallMs: number | null
  readonly steps: readonly { name: string; startMs: number; ms: number }[]
  readonly holds: { readonly held: number; readonly failed: number; readonly longestMs: number; readonly medianMs: number } | null
}

export function switchResultOf(result: unknown): SwitchResult | null {
  if (!isObject(result) || typeof result['outcome'] !== 'string' || !Array.isArray(result['steps'])) return null
  const { outcome, stallMs, holds } = result
  const steps = (result['steps'] as unknown[]).flatMap((step) => {
    const read = isObject(step) ? numbers(step, ['startMs', 'ms'] as const) : null
    return read === null || !isObject(step) ? [] : [{ name: String(step['name']), ...read }]
  })
  return {
    outcome,
    stallMs: typeof stallMs === 'number' ? stallMs : null,
    steps,
    holds: isObject(holds) ? numbers(holds, ['held', 'failed', 'longestMs', 'medianMs'] as const) : null,
  }
}

function numbers<K extends string>(from: Record<string, unknown>, names: readonly K[]): { [key in K]: number } | null {
  const entries = names.map((name) => [name, from[name]] as const)
  if (entries.some(([, value]) => typeof value !== 'number')) return null
  return Object.fromEntries(entries) as { [key in K]: number }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
