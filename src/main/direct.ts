/** The way past a pooler: what a session is needed for goes there. */
import type { Database } from "../store/database.ts";
import { readInstallation } from "../store/installation.ts";
import { openSession } from "../store/session.ts";
import { Complaint } from "./complaint.ts";
import { complaintAbout, nameOfDatabase } from "./database-complaint.ts";

/**
 * Sessions reach PostgreSQL itself, and there the database that the pool leads to.
 * @param direct leads to `url`
 * @param installation what the pool finds
 * @throws Complaint
 */
export async function checkDirect(url: string, direct: Database, installation: string): Promise<void> {
  try {
    await (await openSession({ url, applicationName: "muster" })).close();
    if ((await readInstallation(direct)).id !== installation)
      throw new Complaint(`MUSTER_DIRECT_URL (${nameOfDatabase(url)}) leads to another Muster's database than DATABASE_URL.`);
  } catch (error) {
    throw complaintAbout(error, url) ?? error;
  }
}
