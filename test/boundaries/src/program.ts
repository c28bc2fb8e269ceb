/**
 * The compiler's view of all packages: imports, exports, docstrings.
 *
 * Asks TypeScript's own program, whose interface is still called unstable: it is one exact version in the catalog, and
 * this file is the only one that knows it.
 */
import { join } from 'node:path'

import { SyntaxKind } from 'typescript/unstable/ast'
import type { Node } from 'typescript/unstable/ast'
import {
  isCallExpression,
  isExportDeclaration,
  isImportDeclaration,
  isImportTypeNode,
  isLiteralTypeNode,
  isNoSubstitutionTemplateLiteral,
  isStringLiteral,
} from 'typescript/unstable/ast/is'
import { API, SymbolFlags } from 'typescript/unstable/sync'

import { root } from './workspace.ts'

/** One `import`, `export … from`, `import()` or `import('…').Type`. */
export interface Import {
  readonly specifier: string
  /** `import type` and the like: needed by the declarations, not at run time. */
  readonly typeOnly: boolean
  /** Loaded when it is reached, not with the module. */
  readonly dynamic: boolean
}

export interface ExportedName {
  readonly name: string
  readonly kind: 'type' | 'value'
  readonly documentation: string
}

export interface Program {
  importsOf(file: string): readonly Import[]
  exportsOf(file: string): readonly ExportedName[]
  /** The texts in the code, without those in comments. */
  stringsOf(file: string): readonly string[]
  close(): void
}

export function openProgram(): Program {
  const api = new API({ cwd: root })
  const config = join(root, 'test', 'boundaries', 'tsconfig.packages.json')
  const project = api.updateSnapshot({ openProjects: [config] }).getProject(config)
  if (project === undefined) throw new Error(`TypeScript did not open ${config}`)
  const { checker } = project

  const sourceFile = (file: string) => {
    const found = project.program.getSourceFile(file)
    if (found === undefined) throw new Error(`${file} is not part of the program`)
    return found
  }

  return {
    importsOf(file) {
      const found: Import[] = []
      const visit = (node: Node): undefined => {
        const one = importIn(node)
        if (one !== undefined) found.push(one)
        node.forEachChild(visit)
      }
      visit(sourceFile(file))
      return found
    },

    exportsOf(file) {
      const module = checker.getSymbolAtLocation(sourceFile(file))
      if (module === undefined) return []
      return checker.getExportsOfModule(module).map((symbol) => {
        const origin = symbol.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
        return {
          name: symbol.name,
          kind: origin.flags & SymbolFlags.Value ? 'value' : 'type',
          documentation: checker.getDocumentationCommentOfSymbol(origin) || checker.getDocumentationCommentOfSymbol(symbol),
        }
      })
    },

    stringsOf(file) {
      const found: string[] = []
      const visit = (node: Node): undefined => {
        if (isStringLiteral(node) || isNoSubstitutionTemplateLiteral(node)) found.push(node.text)
        node.forEachChild(visit)
      }
      visit(sourceFile(file))
      return found
    },

    close: () => api.close(),
  }
}

function importIn(node: Node): Import | undefined {
  if (isImportDeclaration(node))
    return described(node.moduleSpecifier, { typeOnly: node.importClause?.phaseModifier === SyntaxKind.TypeKeyword })
  if (isExportDeclaration(node)) return described(node.moduleSpecifier, { typeOnly: node.isTypeOnly })
  if (isImportTypeNode(node) && isLiteralTypeNode(node.argument)) return described(node.argument.literal, { typeOnly: true })
  if (isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword) return described(node.arguments[0], { dynamic: true })
  return undefined
}

function described(specifier: Node | undefined, { typeOnly = false, dynamic = false }): Import | undefined {
  return specifier !== undefined && isStringLiteral(specifier) ? { specifier: specifier.text, typeOnly, dynamic } : undefined
}
