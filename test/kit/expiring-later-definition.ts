/** The same rows, kept for longer than a slow machine takes to make a dual-write. */
import { dualwriteTopic } from './dualwrite-definition.ts'

export default dualwriteTopic(25_000)
