import { z } from 'zod'

/** A gate is one start of one process: asking twice is asking once (promise 13). */
export const RestartGate = z.strictObject({ actor: z.string().max(200).default('unknown') })

export const GateRestartView = z.object({
  gate: z.string(),
  actor: z.string(),
  askedAtMs: z.number(),
  state: z.enum(['wanted', 'starting', 'draining', 'done', 'failed']),
  sinceMs: z.number(),
  next: z.string().nullable(),
  drainMs: z.number().nullable(),
  /** Null: unknown. */
  drained: z.object({ sessions: z.number(), cut: z.number(), ms: z.number() }).nullable(),
  problem: z.string().nullable(),
})
export type GateRestartView = z.infer<typeof GateRestartView>
