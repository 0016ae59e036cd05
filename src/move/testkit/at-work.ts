import { until } from '../../../test/kit/until.ts'
import type { World } from './world.ts'

/** Waits until the targets' server executes a statement like this, and returns how many it executes whenever that is asked. `schema`: in which its session is, where it names none. */
export async function atWorkOnTarget(world: World, like: RegExp, schema?: string): Promise<() => Promise<number>> {
  const atWork = async (): Promise<number> =>
    (await world.t.allText('SHOW PROCESSLIST')).filter(({ db, Info }) => like.test(Info ?? '') && (schema === undefined || db === schema))
      .length
  await until(`${like} to be executed`, async () => (await atWork()) > 0, 10_000)
  return atWork
}
