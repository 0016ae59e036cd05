/** What was done, and whether it can be undone. */
import { z } from 'zod'

/** One entry of a workflow's log: append-only, in the order of time. */
export const AuditView = z.object({
  atMs: z.number(),
  actor: z.string(),
  kind: z.enum(['request', 'step', 'decision', 'kill', 'refusal', 'outcome', 'note']),
  verb: z.string().nullable(),
  action: z.string().nullable(),
  what: z.string(),
  inputs: z.unknown(),
  outcome: z.string(),
  ms: z.number().nullable(),
})
export type AuditView = z.infer<typeof AuditView>

/** Whether what was done can be undone, by which command, and until when. */
export const UndoView = z.object({ possible: z.enum(['yes', 'not now', 'unknown', 'no']), by: z.string().nullable(), until: z.string() })
export type UndoView = z.infer<typeof UndoView>
