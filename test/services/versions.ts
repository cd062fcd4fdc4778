/** The versions of PostgreSQL that Muster says it works with, besides the one that it brings and that all other tests run on: npm's packages, exactly. */
export const versions = { 15: "15.18.0-beta.17", 16: "16.14.0-beta.17", 17: "17.10.0-beta.17" } as const;
