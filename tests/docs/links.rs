//! Every link between documents, and to files beside them, leads to something that is there.

use std::collections::HashMap;
use std::path::Path;

use crate::markdown::Document;
use crate::page::{all, read, root};

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading_that_exist() {
    let documents: HashMap<String, Document> =
        all().into_iter().map(|path| (path.clone(), Document::parse(&read(&path)))).collect();
    let mut broken = Vec::new();
    let mut checked = 0;
    for (page, document) in &documents {
        for (line, target) in document.links() {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            if let Err(problem) = resolve(page, &target, &documents) {
                broken.push(format!("{page}:{line}: {target}: {problem}"));
            }
        }
    }
    broken.sort();
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
    assert!(checked > 50, "only {checked} links were found");
}

fn resolve(page: &str, target: &str, documents: &HashMap<String, Document>) -> Result<(), String> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let path = if path.is_empty() { page.to_owned() } else { beside(page, path)? };
    if !root().join(&path).exists() {
        return Err(format!("there is no {path}"));
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let document = documents.get(&path).ok_or_else(|| format!("{path} has no headings"))?;
    if document.anchors().iter().any(|known| known == anchor) {
        return Ok(());
    }
    Err(format!("{path} has no heading for #{anchor}"))
}

/// The path of a file that `page` names as `path`, relative to the project's folder.
fn beside(page: &str, path: &str) -> Result<String, String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop().ok_or("it leaves the project")?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[test]
fn pages_of_the_site_link_to_pages_of_the_site_alone() {
    for page in all().into_iter().filter(|page| page.starts_with("docs/")) {
        for (line, target) in Document::parse(&read(&page)).links() {
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let path = beside(&page, target.split('#').next().unwrap()).unwrap();
            assert!(Path::new(&path).starts_with("docs"), "{page}:{line}: {target} is not in the site");
        }
    }
}
