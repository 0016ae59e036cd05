// npm run demo:dual-write: sets up what is missing (with --kafka a Kafka too), then runs the demonstration on the project's Node.
import { join } from 'node:path'
import { ensureConsole } from './build-console.mjs'
import { runNode } from './run-node.mjs'
import { fail, flavourArgument, projectDir, setup } from './setup.mjs'
import { provideKafka } from './unpack-kafka.mjs'

const args = process.argv.slice(2)
try {
  const flavour = flavourArgument(args) ?? 'mariadb'
  const { node } = await setup({ flavours: [flavour === 'both' ? 'mariadb' : flavour] })
  if (args.includes('--kafka')) {
    const { problem } = provideKafka((text) => console.error(`setup: ${text}`))
    if (problem !== null)
      throw Object.assign(new Error(problem), { ways: ['install it, or leave out --kafka: the embedded log needs nothing'] })
  }
  const unbuilt = ensureConsole(node)
  if (unbuilt !== null) console.error(unbuilt)
  runNode(node, [join(projectDir, 'src', 'main', 'demo-dual-write.ts'), ...args], { cwd: projectDir })
} catch (error) {
  fail(error)
}
