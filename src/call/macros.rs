//! Declarations of requests, of inputs and of open enums. They declare data and nothing else.

/// The setter that every builder has besides its own.
macro_rules! when_some {
    () => {
        /// Calls `setter` with the value if there is one, for an option that is not always given.
        #[inline]
        pub fn when_some<V>(self, option: Option<V>, setter: impl FnOnce(Self, V) -> Self) -> Self {
            match option {
                Some(value) => setter(self, value),
                None => self,
            }
        }
    };
}

/// Declares a request with options. Each has the place it goes to (`query`, `json`, `form`, `form_url` or `file`), the
/// Python SDK's name, and a type: `[String]` takes anything that iterates over texts, `[T]` over what becomes a `T`,
/// `into T` anything that becomes a `T`, `object` anything that is an object in JSON, or the JSON text of one, and
/// `filter` such an object without nulls.
macro_rules! request {
    ($(#[$meta:meta])* $name:ident -> SyncPager<$item:ty> { $($options:tt)* }) => {
        request!(@declare $(#[$meta])* $name -> SyncPager<$item> { $($options)* });

        impl $name {
            /// Goes on where a list was left, with the text that [`SyncPager::token`](crate::SyncPager::token) gave for
            /// the same call with the same options. It takes the place of `page`.
            #[inline]
            pub fn from_token(mut self, token: impl Into<String>) -> Self {
                self.0.from_token = Some(token.into());
                self
            }
        }
    };
    ($(#[$meta:meta])* $name:ident -> $output:ty { $($options:tt)* }) => {
        request!(@declare $(#[$meta])* $name -> $output { $($options)* });
    };
    (@declare $(#[$meta:meta])* $name:ident -> $output:ty { $($options:tt)* }) => {
        $(#[$meta])*
        #[must_use = "nothing is sent before `.send()`"]
        #[derive(Debug, Clone)]
        pub struct $name(crate::call::request::Request);

        impl From<crate::call::request::Request> for $name {
            fn from(request: crate::call::request::Request) -> Self {
                Self(request)
            }
        }

        impl $name {
            request!(@options $($options)*);

            /// Sends the request and decodes the answer.
            ///
            /// # Errors
            ///
            /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if an argument cannot be sent,
            /// [`Error::Api`](crate::Error::Api) if the platform refuses the request, and the errors of every
            /// exchange: see [`Error`](crate::Error).
            #[inline]
            pub fn send(self) -> crate::Result<$output> {
                crate::Call::from(self.0).send()
            }

            /// As [`send`](Self::send), with the status, the headers and the raw body.
            ///
            /// # Errors
            ///
            /// As [`send`](Self::send).
            #[inline]
            pub fn send_raw(self) -> crate::Result<crate::HttpResponse<$output>> {
                crate::Call::from(self.0).send_raw()
            }

            /// Settings for this call alone.
            #[inline]
            pub fn request_options(mut self, request_options: crate::RequestOptions) -> Self {
                self.0.options = request_options;
                self
            }

            when_some!();
        }
    };
    (@options) => {};
    (@options $(#[$meta:meta])* $place:ident $field:ident: object, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl serde::Serialize) -> Self {
            let fields = self.0.object(stringify!($field), &$field);
            self.0.forget(stringify!($field));
            self.0.$place(stringify!($field), &fields);
            self
        }
        request!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $place:ident $field:ident: filter, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl serde::Serialize) -> Self {
            let fields = self.0.filter(stringify!($field), &$field);
            self.0.forget(stringify!($field));
            self.0.$place(stringify!($field), &fields);
            self
        }
        request!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $place:ident $field:ident: [String], $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
            self.0.forget(stringify!($field));
            self.0.$place(stringify!($field), &crate::call::texts($field));
            self
        }
        request!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $place:ident $field:ident: [$type:ty], $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl IntoIterator<Item = impl Into<$type>>) -> Self {
            self.0.forget(stringify!($field));
            self.0.$place(stringify!($field), &$field.into_iter().map(Into::into).collect::<Vec<$type>>());
            self
        }
        request!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $place:ident $field:ident: into $type:ty, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl Into<$type>) -> Self {
            let value: $type = $field.into();
            self.0.forget(stringify!($field));
            self.0.$place(stringify!($field), &value);
            self
        }
        request!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $place:ident $field:ident: $type:ty, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: $type) -> Self {
            self.0.forget(stringify!($field));
            self.0.$place(stringify!($field), &$field);
            self
        }
        request!(@options $($rest)*);
    };
}

/// Declares an input: a JSON object that `new` makes of what is required, with a setter for each optional field.
/// The types are as in [`request!`], and what is required is taken as by `into`; `field = "wire name"` is for a field
/// that the wire calls otherwise. A value that cannot be sent is an error when the input is sent.
macro_rules! input {
    ($(#[$meta:meta])* $name:ident($($required:ident $(= $required_wire:literal)?: $type:tt),*) { $($options:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        #[must_use]
        pub struct $name(crate::call::json::encode::Fields);

        impl $name {
            /// With what is required.
            #[allow(clippy::new_without_default)]
            #[inline]
            pub fn new($($required: input!(@taken $type)),*) -> Self {
                #[allow(unused_mut)]
                let mut input = Self(crate::call::json::encode::Fields::default());
                $(
                    let required = input!(@made $required $type);
                    input.0.set(input!(@name $required $($required_wire)?), &required);
                )*
                input
            }

            input!(@options $($options)*);

            /// Sets a field that this version of the crate does not know.
            #[inline]
            pub fn field(mut self, name: &str, value: impl serde::Serialize) -> Self {
                self.0.set(name, &value);
                self
            }

            /// What a field is set to.
            #[inline]
            pub fn get(&self, name: &str) -> Option<&serde_json::Value> {
                self.0.get(name)
            }

            when_some!();
        }

        impl From<&$name> for $name {
            fn from(input: &$name) -> Self {
                input.clone()
            }
        }
    };
    (@options) => {};
    (@options $(#[$meta:meta])* $field:ident $(= $wire:literal)?: object, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl serde::Serialize) -> Self {
            self.0.set_object(input!(@name $field $($wire)?), &$field);
            self
        }
        input!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $field:ident $(= $wire:literal)?: [String], $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
            self.0.set(input!(@name $field $($wire)?), &crate::call::texts($field));
            self
        }
        input!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $field:ident $(= $wire:literal)?: [$type:ty], $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl IntoIterator<Item = impl Into<$type>>) -> Self {
            let values: Vec<$type> = $field.into_iter().map(Into::into).collect();
            self.0.set(input!(@name $field $($wire)?), &values);
            self
        }
        input!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $field:ident $(= $wire:literal)?: into $type:ty, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: impl Into<$type>) -> Self {
            let value: $type = $field.into();
            self.0.set(input!(@name $field $($wire)?), &value);
            self
        }
        input!(@options $($rest)*);
    };
    (@options $(#[$meta:meta])* $field:ident $(= $wire:literal)?: $type:ty, $($rest:tt)*) => {
        $(#[$meta])*
        #[inline]
        pub fn $field(mut self, $field: $type) -> Self {
            self.0.set(input!(@name $field $($wire)?), &$field);
            self
        }
        input!(@options $($rest)*);
    };
    (@taken [String]) => { impl IntoIterator<Item = impl AsRef<str>> };
    (@taken [$type:ty]) => { impl IntoIterator<Item = impl Into<$type>> };
    (@taken $type:ty) => { impl Into<$type> };
    (@made $value:ident [String]) => { crate::call::texts($value) };
    (@made $value:ident [$type:ty]) => { $value.into_iter().map(Into::into).collect::<Vec<$type>>() };
    (@made $value:ident $type:ty) => { Into::<$type>::into($value) };
    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $wire:literal) => { $wire };
}

/// Declares an enum of the wire: a value that is not known here is kept in `Other`.
macro_rules! open_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_meta])* $variant,)*
            /// A value that this version of the crate does not know, as it came.
            Other(String),
        }

        impl $name {
            /// The value as the platform writes it.
            #[inline]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    other => Self::Other(other.into()),
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                text.as_str().into()
            }
        }

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                text.as_str().into()
            }
        }

        impl From<&&str> for $name {
            fn from(text: &&str) -> Self {
                (*text).into()
            }
        }

        impl From<&$name> for $name {
            fn from(value: &$name) -> Self {
                value.clone()
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::convert::Infallible;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ok(text.into())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Into::into)
            }
        }
    };
}

/// The names of an enum of this crate's own, for people and for JSON.
macro_rules! names {
    ($type:ident { $($variant:ident = $text:literal,)* }) => {
        impl $type {
            /// The name, as it is displayed and serialized.
            #[inline]
            pub fn as_str(&self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

#[cfg(test)]
mod tests {
    input! {
        /// A segment of a video.
        Segment(media_type = "type": String, starts: [u32]) {
            /// Where it ends.
            end_sec: f64,
            /// What it is called.
            label = "name": into String,
            /// More names.
            tags: [String],
        }
    }

    #[test]
    fn inputs_are_json_objects() {
        let segment =
            Segment::new("video", [1_u8, 2]).end_sec(2.5).label("a").when_some(Some(["b", "c"]), Segment::tags);
        let segment = Segment::from(&segment).field("new", true);
        let json = serde_json::json!({
            "type": "video", "starts": [1, 2], "end_sec": 2.5, "name": "a", "tags": ["b", "c"], "new": true
        });
        assert_eq!(segment.get("end_sec"), Some(&json["end_sec"]));
        assert_eq!(serde_json::to_value(&segment).unwrap(), json);
        assert_eq!(serde_json::from_value::<Segment>(json).unwrap(), segment);
    }
}
