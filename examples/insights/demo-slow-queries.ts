/** As `slow-queries.ts`, in the demonstration's time: eight days pass in a minute and a half, so that rows expire while it runs. */
import { slowQueries } from './slow-queries.ts'
import { demoTime } from './summaries.ts'

export default slowQueries(demoTime)
