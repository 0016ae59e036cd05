/** As `summaries.ts`, in the demonstration's time: eight days pass in a minute and a half, so that rows expire while it runs. */
import { demoTime, summaries } from './summaries.ts'

export default summaries(demoTime)
