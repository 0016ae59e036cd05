/** As `summaries.ts`, in the demonstration's time: a day lasts two minutes. */
import { demoTime, summaries } from './summaries.ts'

export default summaries(demoTime)
