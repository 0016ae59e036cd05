/** As `slow-queries.ts`, in the demonstration's time: a day lasts two minutes. */
import { slowQueries } from './slow-queries.ts'
import { demoTime } from './summaries.ts'

export default slowQueries(demoTime)
