/** The same rows, kept for ten seconds. */
import { dualwriteTopic } from './dualwrite-definition.ts'

export const keptMs = 10_000

export default dualwriteTopic(keptMs)
