/** What is printed from the GraphQL schema: `schema/schema.graphql`, and the types of the operations in `schema/operations`. */
import { fileURLToPath } from "node:url";
import { generate, loadCodegenConfig } from "@graphql-codegen/cli";
import { printSchema } from "graphql";
import { buildSchema } from "../src/api/schema.ts";

export function printGraphqlSchema(): string {
  return `# The whole contract. Printed from src/api by \`npm run print\`; do not edit.\n\n${printSchema(buildSchema())}\n`;
}

/** Of the preset's files only the one with the documents and their types: nobody here writes queries in code. */
export async function printOperations(): Promise<string> {
  const { config } = await loadCodegenConfig({ configFilePath: fileURLToPath(new URL("../codegen.yml", import.meta.url)) });
  const files: readonly { readonly filename: string; readonly content: string }[] = await generate(
    { ...config, schema: printSchema(buildSchema()), silent: true, errorsOnly: true },
    false,
  );
  const [documents] = files.filter((file) => file.filename.endsWith("/graphql.ts"));
  if (documents === undefined) throw new Error("codegen made no documents");
  return documents.content;
}
