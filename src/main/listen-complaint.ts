/** Why we cannot listen somewhere, as a sentence. */
import { Complaint, systemCode } from "./complaint.ts";

/** Null for what is a bug. */
export function listenComplaint(error: unknown, host: string, port: number): Complaint | null {
  switch (systemCode(error)) {
    case "EADDRINUSE":
      return new Complaint(
        `Port ${port} on ${host} is taken: another program listens there. Choose another one with MUSTER_PORT, or 0 for any that is free.`,
      );
    case "EACCES":
      return new Complaint(`This user may not listen on port ${port}. Choose one from 1024 on with MUSTER_PORT.`);
    case "EADDRNOTAVAIL":
      return new Complaint(`${host} is no address of this machine. Set MUSTER_HOST to one that is (0.0.0.0 for all).`);
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new Complaint(`The name ${host} (MUSTER_HOST) cannot be looked up.`);
    default:
      return null;
  }
}
