/** The database that global-setup migrates once and that test files clone. */
export const templateName = "muster_template";
