// npm start: sets up what is missing, then runs the demonstration on the project's Node, passing all arguments on.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ensureConsole } from './build-console.mjs'
import { runNode } from './run-node.mjs'
import { fail, flavourArgument, projectDir, setup } from './setup.mjs'

const args = process.argv.slice(2)
try {
  const flavour = flavourArgument(args) ?? 'mariadb'
  const { node } = await setup({ flavours: flavour === 'both' ? ['mariadb', 'mysql'] : [flavour] })
  const demo = join(projectDir, 'src', 'main', 'demo.ts')
  if (!existsSync(demo)) {
    console.error('set-up is done, but this version has no demonstration yet (src/main/demo.ts is missing)')
    process.exit(1)
  }
  const problem = ensureConsole(node)
  if (problem !== null) console.error(problem)
  runNode(node, [demo, ...args], { cwd: projectDir })
} catch (error) {
  fail(error)
}
