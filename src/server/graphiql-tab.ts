/** What GraphiQL opens with: a first walk through the API. Each runs as it is, against an empty installation too. */

export const graphiqlTabs: readonly string[] = [
  `# What there is, seen from this token's project.
query Overview {
  viewer {
    role
    project {
      name
    }
  }
  clusters(first: 20) {
    nodes {
      id
      name
      status
      desiredCapacity
      nodeCounts {
        total
        active
        healthy
        unhealthy
      }
      nodes(first: 10) {
        nodes {
          name
          status
          health {
            status
            reason
          }
        }
      }
    }
  }
}
`,
  `# Everything that happens from now on. Run it, then change something from a second browser window.
subscription Events {
  events {
    occurredAt
    level
    type
    message
    cursor
  }
}
`,
  `# A recipe for simulated machines, and a cluster of three of them.
# The second mutation finds the profile by its name. Run again, both say that the name is taken.
mutation FirstCluster {
  createProfile(input: { name: "try-sim", type: "sim", spec: { createMs: 500 } }) {
    __typename
    ... on CreateProfilePayload {
      profile {
        id
        name
        revision
      }
    }
    ... on Error {
      code
      message
    }
  }
  createCluster(
    input: { name: "try", profile: { name: "try-sim" }, desiredCapacity: 3 }
  ) {
    __typename
    ... on CreateClusterPayload {
      cluster {
        id
        status
      }
      action {
        id
        status
      }
    }
    ... on Error {
      code
      message
    }
  }
}
`,
  `# Two members more. Run it twice quickly: both count.
mutation Grow {
  resizeCluster(input: { cluster: { name: "try" }, capacity: { by: 2 } }) {
    __typename
    ... on ResizeClusterPayload {
      cluster {
        desiredCapacity
        generation
      }
      action {
        id
        kind
        status
      }
    }
    ... on Error {
      code
      message
    }
  }
}
`,
  `# The cluster as it is, again with every change. Grow it, or kill a member, from a second browser window.
subscription Live {
  cluster(by: { name: "try" }) {
    status
    desiredCapacity
    nodeCounts {
      total
      active
      healthy
      unhealthy
    }
    nodes(first: 20) {
      nodes {
        name
        status
        health {
          status
          reason
        }
      }
    }
  }
}
`,
];
