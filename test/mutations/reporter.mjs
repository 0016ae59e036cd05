// One line of JSON for each test that ended, for `run.ts`.
import { inspect } from 'node:util'

export default async function* (events) {
  for await (const { type, data } of events) {
    if ((type !== 'test:pass' && type !== 'test:fail') || data.details.type === 'suite' || data.skip !== undefined) continue
    const error = data.details.error
    const why = error === undefined ? '' : `${error.message}\n${inspect(error.cause, { depth: 3 })}`
    yield `${JSON.stringify({ name: data.name, passed: type === 'test:pass', why })}\n`
  }
}
