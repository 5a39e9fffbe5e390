//! JSON schemas of types, in the part of JSON Schema that the platform supports.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// Returns the schema of a type as one object, without references, defaults and `$schema`, which the platform does not
/// support.
pub(crate) fn of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.inline_subschemas = true;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    simplify(&mut schema);
    schema
}

/// Removes the `format` of numbers, which only describes Rust's types, and defaults, which the platform does not
/// support.
fn simplify(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // Below `properties` the keys are the names of fields, which may be called `format` or `default`.
            for (name, value) in fields.iter_mut() {
                match (name.as_str(), value) {
                    ("properties", Value::Object(properties)) => properties.values_mut().for_each(simplify),
                    (_, value) => simplify(value),
                }
            }
            for name in ["default", "format"] {
                fields.remove(name);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Summary {
        title: String,
        #[serde(default)]
        format: u32,
        chapters: Vec<Chapter>,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code)]
    struct Chapter {
        start: f64,
        text: Option<String>,
    }

    #[test]
    fn a_schema_has_no_references_and_nothing_that_the_platform_does_not_know() {
        let schema = of::<Summary>();
        let chapter = json!({
            "type": "object",
            "properties": {"start": {"type": "number"}, "text": {"type": ["string", "null"]}},
            "required": ["start"],
        });
        assert_eq!(schema["properties"]["chapters"], json!({"type": "array", "items": chapter}));
        assert_eq!(schema["properties"]["format"], json!({"type": "integer", "minimum": 0}));
        assert_eq!(schema["required"], json!(["title", "chapters"]));
        let text = schema.to_string();
        let mut either = json!({"anyOf": [{"type": "number", "format": "double"}, {"type": "null", "default": 1}]});
        simplify(&mut either);
        assert_eq!(either, json!({"anyOf": [{"type": "number"}, {"type": "null"}]}));
        assert!(["$ref", "$schema", "$defs", "default"].iter().all(|word| !text.contains(word)), "{text}");
    }
}
